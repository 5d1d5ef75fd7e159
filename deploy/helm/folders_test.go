package helm_test

const (
	module   = "../.."
	binaries = module + "/bin"
	// chart is its folder.
	chart = "irene"
)

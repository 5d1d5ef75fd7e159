// Command images builds the image of irene from source and pushes it, without a
// container engine. "make images" runs it.
//
// The image holds three static programs in /irene and a folder for temporary files:
// irene, and beside it launch and irene-stage, of which irene itself makes the layers of
// app images and the images that builds run in. It runs as user and group 65532.
//
// The same source, version and toolchain give the same digest, wherever and whenever
// they are built: no paths, no times but the one that is given, owners root.
//
// A list of the modules in each program (CycloneDX, from what the Go linker has recorded
// in them) is pushed as an artifact that refers to the image.
package main

package render

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/opi/sidecars"
	"github.com/irene-cf/irene/opi/vcapapplication"
)

// platformVariables are made by Cloud Controller or Irene, hold no secrets, and
// stay in the pod spec where a person with kubectl can read them.
var platformVariables = map[string]bool{
	"VCAP_APPLICATION": true,
	"VCAP_APP_HOST":    true,
	"VCAP_APP_PORT":    true,
	"PORT":             true,
	"MEMORY_LIMIT":     true,
	"LANG":             true,
	"PATH":             true,
	"HOME":             true,
	"USER":             true,
	"TMPDIR":           true,
	"START_COMMAND":    true,
}

// environment splits an LRP's variables: vars is the container's list, in which
// secret values are references by key, to a Secret without a name yet; secrets are the
// values to keep in that Secret by those keys. Keys are generated since Kubernetes
// refuses some names of variables as keys.
//
// Precedence, later wins: defaults (buildpack apps: LANG, PATH), the request,
// the platform's own. own are the variables that describe the container itself. The
// variables that sidecars have apart from the app's come last, under names of their own.
func environment(lrp opi.LRP, own []corev1.EnvVar) (vars []corev1.EnvVar, secrets map[string][]byte) {
	values := map[string]string{}
	if lrp.Droplet != nil {
		values["LANG"] = "en_US.UTF-8"
		values["PATH"] = "/usr/local/bin:/usr/bin:/bin"
	}
	maps.Copy(values, lrp.Environment)
	maps.Copy(values, lrp.MainProcess().Environment)
	if lrp.Droplet != nil {
		values["HOME"] = "/home/vcap/app"
		values["USER"] = "vcap"
		values["TMPDIR"] = "/home/vcap/tmp"
		values["START_COMMAND"] = strings.Join(lrp.MainProcess().Command, " ")
	}

	vars = slices.Clone(own)
	for _, variable := range vars {
		delete(values, variable.Name)
	}

	secrets = map[string][]byte{}
	secret := func(name, value string) corev1.EnvVar {
		key := environmentKey(len(secrets))
		secrets[key] = []byte(value)
		return corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{
			SecretKeyRef: &corev1.SecretKeySelector{Key: key},
		}}
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		value := values[name]
		if !isPlatformVariable(name, value) {
			vars = append(vars, secret(name, value))
			continue
		}
		plain := literal(value)
		if name == "VCAP_APPLICATION" && lrp.Droplet == nil {
			plain = withInstance(plain, own, values["PORT"])
		}
		vars = append(vars, corev1.EnvVar{Name: name, Value: plain})
	}
	for n, sidecar := range sidecarsOf(lrp) {
		for _, name := range ownVariables(sidecar, own) {
			value, variable := sidecar.Environment[name], sidecars.Variable(n+1, name)
			if isPlatformVariable(name, value) {
				vars = append(vars, corev1.EnvVar{Name: variable, Value: literal(value)})
			} else {
				vars = append(vars, secret(variable, value))
			}
		}
	}
	return vars, secrets
}

// isPlatformVariable also takes an empty VCAP_SERVICES, which every app without
// services has: it would cost a Secret each and hides nothing.
func isPlatformVariable(name, value string) bool {
	return platformVariables[name] || name == "VCAP_SERVICES" && value == "{}"
}

func environmentKey(n int) string { return fmt.Sprintf("env.%d", n) }

// withInstance adds to VCAP_APPLICATION what launch adds in a buildpack app's container
// (package vcapapplication). The containers of docker apps don't run launch, so guid and
// index are references, which kubelet replaces for each pod. application has its '$'
// doubled already, which keeps it JSON. It stays as it is if it is not a JSON object, or
// would become too large for a program to receive.
func withInstance(application string, own []corev1.EnvVar, port string) string {
	reference := func(name string) string {
		if slices.ContainsFunc(own, func(v corev1.EnvVar) bool { return v.Name == name }) {
			return "$(" + name + ")"
		}
		return ""
	}
	guid := reference("CF_INSTANCE_GUID")
	if guid != "" {
		guid = `"` + guid + `"`
	}
	number := ""
	if n, err := strconv.ParseUint(port, 10, 16); err == nil {
		number = strconv.FormatUint(n, 10)
	}
	merged, err := vcapapplication.Merge(application, vcapapplication.InstanceMembers(guid, reference("CF_INSTANCE_INDEX"), number))
	if err != nil || len(merged)+maxInstanceText > opi.MaxVariableBytes {
		return application
	}
	return merged
}

// maxInstanceText bounds what the references and the variable's own name take more than
// their text in the pod spec.
const maxInstanceText = 64

// instanceVariables are what an instance learns about itself. They come first,
// since a variable can refer to earlier ones only.
func instanceVariables(ports []int32) []corev1.EnvVar {
	field := fieldVariable
	index := "metadata.labels['" + keys.PodIndex + "']"
	vars := []corev1.EnvVar{
		field("POD_NAME", "metadata.name"),
		field("CF_INSTANCE_GUID", "metadata.uid"),
		field("INSTANCE_GUID", "metadata.uid"),
		field("CF_INSTANCE_INDEX", index),
		field("INSTANCE_INDEX", index),
		field("CF_INSTANCE_IP", "status.podIP"),
		field("CF_INSTANCE_INTERNAL_IP", "status.podIP"),
		{Name: "CF_INSTANCE_PORTS", Value: instancePorts(ports)},
	}
	if len(ports) > 0 {
		port := strconv.Itoa(int(ports[0]))
		vars = append(vars,
			corev1.EnvVar{Name: "CF_INSTANCE_PORT", Value: port},
			corev1.EnvVar{Name: "CF_INSTANCE_ADDR", Value: "$(CF_INSTANCE_IP):" + port})
	}
	return vars
}

// taskVariables are what a task learns about itself: it has no index, and no ports on
// which it is reached.
func taskVariables() []corev1.EnvVar {
	return []corev1.EnvVar{
		fieldVariable("POD_NAME", "metadata.name"),
		fieldVariable("CF_INSTANCE_GUID", "metadata.uid"),
		fieldVariable("INSTANCE_GUID", "metadata.uid"),
		fieldVariable("CF_INSTANCE_IP", "status.podIP"),
		fieldVariable("CF_INSTANCE_INTERNAL_IP", "status.podIP"),
		{Name: "CF_INSTANCE_PORTS", Value: instancePorts(nil)},
	}
}

// fieldVariable returns a variable with the value of a field of the pod.
func fieldVariable(name, path string) corev1.EnvVar {
	return corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{
		FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: path},
	}}
}

// instancePorts is CF_INSTANCE_PORTS: a pod is reached on the ports that its
// process listens on, so external and internal are the same.
func instancePorts(ports []int32) string {
	type mapping struct {
		External int32 `json:"external"`
		Internal int32 `json:"internal"`
	}
	mappings := make([]mapping, 0, len(ports))
	for _, port := range distinctPorts(ports) {
		mappings = append(mappings, mapping{External: port, Internal: port})
	}
	text, err := json.Marshal(mappings)
	if err != nil {
		panic(err) // two integers always marshal
	}
	return string(text)
}

// literal protects a value from kubelet, which replaces $(NAME) in values,
// commands and arguments and makes one '$' of two.
func literal(value string) string { return strings.ReplaceAll(value, "$", "$$") }

// literals is literal for each argument of a command.
func literals(arguments []string) []string {
	escaped := make([]string, 0, len(arguments))
	for _, argument := range arguments {
		escaped = append(escaped, literal(argument))
	}
	return escaped
}

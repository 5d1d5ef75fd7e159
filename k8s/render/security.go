package render

import (
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"github.com/irene-cf/irene/opi"
)

// vcap is the uid and gid that buildpack apps have always run as.
const (
	vcap     int64 = 2000
	vcapName       = "vcap"
)

// podSecurity makes every pod pass the restricted Pod Security standard. In a user
// namespace a docker image may run as any user, root included, because that is no
// user of the node; without one kubelet refuses to run an image as root.
func (s Settings) podSecurity(lrp opi.LRP, user ImageUser) (context *corev1.PodSecurityContext, hostUsers *bool) {
	context = &corev1.PodSecurityContext{SeccompProfile: runtimeDefault()}
	switch {
	case lrp.Droplet != nil:
		context = VcapSecurity()
	case s.UserNamespaces:
		hostUsers = ptr.To(false)
		context.RunAsUser, context.RunAsGroup = user.UID, user.GID
	default:
		context.RunAsNonRoot = ptr.To(true)
		context.RunAsUser, context.RunAsGroup = user.UID, user.GID
	}
	if uid := requestedUID(lrp); uid != nil {
		context.RunAsUser = uid
	}
	return context, hostUsers
}

// requestedUID returns the user that the request asks for by number.
func requestedUID(lrp opi.LRP) *int64 {
	uid, err := strconv.ParseInt(lrp.MainProcess().User, 10, 32)
	if lrp.Droplet != nil || err != nil || uid < 0 {
		return nil
	}
	return &uid
}

// UserByName returns the user of a docker image that the request asks for and that has to be looked
// up in the image: by name, or with a group. It is empty for any other request, and for root:
// callers also send that for images of which they have no user, and then the image's own counts.
func UserByName(lrp opi.LRP) string {
	user := lrp.MainProcess().User
	if lrp.RootFS.Image == nil || user == "root" || requestedUID(lrp) != nil {
		return ""
	}
	return user
}

// ContainerSecurity returns what every container needs under the restricted Pod Security
// standard, beside its pod's context.
func ContainerSecurity() *corev1.SecurityContext {
	return &corev1.SecurityContext{
		AllowPrivilegeEscalation: ptr.To(false),
		Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
	}
}

// VcapSecurity returns what makes a pod that runs as vcap pass the restricted Pod Security
// standard.
func VcapSecurity() *corev1.PodSecurityContext {
	return &corev1.PodSecurityContext{
		RunAsNonRoot:   ptr.To(true),
		RunAsUser:      ptr.To(vcap),
		RunAsGroup:     ptr.To(vcap),
		FSGroup:        ptr.To(vcap),
		SeccompProfile: runtimeDefault(),
	}
}

func runtimeDefault() *corev1.SeccompProfile {
	return &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}
}

package bits

import (
	"errors"
	"testing"

	. "github.com/onsi/gomega"
)

func filesOf(passwd, group string) func(...string) (accountFiles, error) {
	return func(...string) (accountFiles, error) {
		return accountFiles{passwdPath: {content: []byte(passwd)}, groupPath: {content: []byte(group)}}, nil
	}
}

func id(n int64) *int64 { return &n }

func TestResolveUser(t *testing.T) {
	const passwd = "# people\n\nroot:x:0:0:root:/root:/bin/sh\n node:x:1000:1001::/home/node:/bin/sh \nnode:x:5:5::/:/bin/sh\n+::::::\nbroken:x:abc:1\nshort:x:7\nhuge:x:4294967295:1\nempty:x::\n"
	const groups = "root:x:0:\nstaff:x:50:node\nbad:x:y:\nshort:x\n"
	for spec, want := range map[string]struct {
		uid, gid *int64
		reason   string
	}{
		"":                {uid: id(0)},
		":7":              {uid: id(0), gid: id(7)},
		"0":               {uid: id(0)},
		"1234":            {uid: id(1234)},
		"1234:":           {uid: id(1234)},
		"1234:99":         {uid: id(1234), gid: id(99)},
		"007":             {uid: id(7)},
		"1234:staff":      {uid: id(1234), gid: id(50)},
		"node":            {uid: id(1000), gid: id(1001)},
		"node:5":          {uid: id(1000), gid: id(5)},
		"node:staff":      {uid: id(1000), gid: id(50)},
		"root":            {uid: id(0), gid: id(0)},
		"2147483647":      {uid: id(2147483647)},
		"nobody":          {reason: "is not in the image's /etc/passwd"},
		"Node":            {reason: "is not in the image's /etc/passwd"},
		" node":           {reason: "is not in the image's /etc/passwd"},
		"-1":              {reason: "is not in the image's /etc/passwd"},
		"# people":        {reason: "is not in the image's /etc/passwd"},
		"node:wheel":      {reason: "names a group that is not in the image's /etc/group"},
		"node:bad":        {reason: `names a group with an unusable entry in the image's /etc/group: "y" is no group number`},
		"node:short":      {reason: "names a group with an unusable entry in the image's /etc/group: it has no group number"},
		"broken":          {reason: `has an unusable entry in the image's /etc/passwd: "abc" is no user number`},
		"short":           {reason: "has an unusable entry in the image's /etc/passwd: it has no group number"},
		"empty":           {reason: "has an unusable entry in the image's /etc/passwd: \"\" is no user number\n\"\" is no group number"},
		"huge":            {reason: "has an unusable entry in the image's /etc/passwd: it has a number above 2147483647, the largest that Kubernetes accepts"},
		"2147483648":      {reason: "has a number above 2147483647, the largest that Kubernetes accepts"},
		"1:9999999999999": {reason: "has a number above 2147483647, the largest that Kubernetes accepts"},
	} {
		t.Run(spec, func(t *testing.T) {
			g := NewWithT(t)
			user, err := resolveUser(spec, filesOf(passwd, groups))
			if want.reason != "" {
				g.Expect(err).To(MatchError(ErrUnknownUser))
				g.Expect(err).To(MatchError(`USER "` + spec + `" ` + want.reason))
				g.Expect(user).To(Equal(User{}))
				return
			}
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(user).To(Equal(User{Name: spec, UID: want.uid, GID: want.gid}))
		})
	}
}

func TestNumbersNeedNoFiles(t *testing.T) {
	g := NewWithT(t)
	for _, spec := range []string{"", "1", "1:2", ":2"} {
		_, err := resolveUser(spec, func(...string) (accountFiles, error) { return nil, errors.New("asked") })
		g.Expect(err).NotTo(HaveOccurred(), spec)
	}
	_, err := resolveUser("1:staff", func(wanted ...string) (accountFiles, error) {
		g.Expect(wanted).To(Equal([]string{groupPath}))
		return nil, errors.New("asked")
	})
	g.Expect(err).To(MatchError("asked"))
	g.Expect(err).NotTo(MatchError(ErrUnknownUser))
}

func FuzzPasswd(f *testing.F) {
	f.Add([]byte("root:x:0:0:root:/root:/bin/sh\nnode:x:1000:1000::/:/bin/sh\n"), "node")
	f.Add([]byte("a:b\na:x:1:2"), "a")
	f.Add([]byte("node:x:-1:+2\r\n::::\n:"), "node")
	f.Fuzz(func(t *testing.T, file []byte, name string) {
		for _, spec := range []string{name, name + ":" + name, "1:" + name} {
			user, err := resolveUser(spec, filesOf(string(file), string(file)))
			if err != nil {
				if !errors.Is(err, ErrUnknownUser) || user.UID != nil {
					t.Fatalf("%q: %+v, %v", spec, user, err)
				}
				continue
			}
			if user.UID == nil || *user.UID < 0 || *user.UID > maxID {
				t.Fatalf("%q: user number %v", spec, user.UID)
			}
			if user.GID != nil && (*user.GID < 0 || *user.GID > maxID) {
				t.Fatalf("%q: group number %v", spec, *user.GID)
			}
		}
	})
}

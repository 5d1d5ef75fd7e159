// Package steps is the contract of the three steps that stage an app inside a pod, and
// what they share. The steps themselves are the packages below: fetch, build and push;
// cmd/irene-stage is the program that runs one of them.
//
// # The pod
//
//	     fetch            build            push
//	   container        container        container
//	has credentials  runs user code   has credentials
//	       │                │                │
//	       └──── one volume, used in turn ───┘
//
// The steps run one after another, each when the one before has succeeded: the first
// two as init containers. All run as uid and gid 2000 and share one writable volume,
// which the build container has at /tmp and the others have wherever their
// configuration says. A volume with a size limit bounds what is unpacked and built.
// Nothing else is shared, above all neither environment, secrets nor process
// namespace. Nobody runs a step twice: a second start of fetch or build over a
// started build ends as Interrupted, so that user code runs at most once.
//
//	container  image                           mounts beside the volume
//	fetch      irene-stage alone is enough     its configuration; files of TLSFiles
//	build      the stack with irene-stage      its configuration, or none where
//	                                           ConfigVariable holds it; buildpacks as
//	                                           images at BuildpackPath, if they are
//	                                           not fetched; EnvironmentFile
//	push       irene-stage alone is enough     its configuration; files of TLSFiles
//	                                           and of RegistryConfig
//
// Every step is "irene-stage NAME", and takes its configuration as one JSON document
// (FetchConfig, BuildConfig, PushConfig) from --config FILE or, without it, from the
// environment variable ConfigVariable. Documents are strictly decoded. Those of fetch
// and push hold URLs with signatures and passwords: they are files from a Secret.
// What is a key or a password by itself is in files of its own.
//
// Build passes its own environment on to user code, without ConfigVariable and what
// Kubernetes adds for its API, with EnvironmentFile laid over it. So the app's
// variables are the container's variables, or in that file, or both.
//
// # The volume
//
//	app/                       fetch: the app package, unpacked. build: the app
//	buildpacks/<md5 of key>/   fetch: a buildpack, unpacked
//	buildpacks/config.json     build: the buildpacks in order
//	cache/                     fetch: the last build's cache. build: this one's
//	contents/deps, profile.d   build: more of the droplet
//	fresh-cache/               build: caches that are not kept
//	home/                      build: HOME, where the image has none
//	out/droplet.tgz            build → push: ./app ./deps ./logs ./profile.d
//	                           ./staging_info.yml ./tmp, gzipped tar, owned by vcap
//	out/cache.tgz              build → push: the content of cache/, gzipped tar
//	out/result.json            build → push: Result, written last
//	out/started                build: user code has run
//
// Fetch leaves no credential there. Push trusts nothing there; package push says what
// that means. What Cloud Controller gets to see of a result is what push has checked,
// written anew and stored in the registry; its digest is in push's Outcome.
//
// A buildpack's key names its folder and stands in the result. The key of a custom
// buildpack is its URL, which may hold a password: whoever makes the configurations
// puts StepKeys in the keys' place everywhere. They hold no secret, and two buildpacks of
// a build never share one, so that none is taken for another.
//
// # Links
//
// App packages, buildpacks and caches may hold symbolic links to anywhere: what an
// absolute target means is decided by the container that runs the code. So every link
// in the volume is hostile. Fetch and push, which have credentials, follow none: archives
// are unpacked below a descriptor with their links made last, folders are emptied
// without leaving them, and push opens its files element by element with O_NOFOLLOW.
// Build follows links as the buildpacks' scripts do. It has no secret and the rights of
// user code, so a link takes it nowhere that a script could not go, and what it packs are
// the links themselves.
//
// # How a step ends
//
// With exit status 0 it succeeded. In any case that it lives to see, a step writes an
// Outcome as its termination message (/dev/termination-log): how long everything took
// and how large it was; why it failed, with a text for the user; and for push what is
// stored. A step that the kernel or kubelet killed leaves none, and the container's
// own state says why. The message of build can be forged by user code; ParseOutcome
// bounds the damage to what user code could have said in the log as well.
//
//	reason         status  error id                  when
//	               0                                 success
//	configuration  64      StagerError               the configuration is wrong
//	processes      65      StagingError              a Procfile or launch.yml can't be read
//	download       66      StagingError              app package or buildpack can't be had
//	archive        67      StagingError              … is broken, hostile or too large
//	output         68      StagingError              what the build left can't be taken
//	upload         69      StagingError              Cloud Controller didn't take the droplet
//	internal       70      StagerError               anything that should not happen
//	memory         71      StagingError              a script was killed at the limit
//	disk           73      StagingError              no room for a file
//	registry       74      StagingError              the registry didn't take the droplet
//	interrupted    75      StagingError              the pod began again
//	canceled       143     StagingError              SIGTERM or SIGINT
//	detect         222     NoAppDetectedError        no buildpack wants the app
//	compile        223     BuildpackCompileFailed    bin/compile failed
//	release        224     BuildpackReleaseFailed    bin/release failed
//	supply         225     BuildpackCompileFailed    a bin/supply failed or is missing
//	finalize       226     BuildpackCompileFailed    bin/finalize failed
//
// Ids are those that Cloud Controller keeps. Supply and finalize are what became of
// compile, and on other Cloud Foundries the user is told of a failed compile too.
//
// Memory is noticed where the kernel kills single processes of a container, as with
// control groups v1, or where kubelet has singleProcessOOMKill. A script that goes on after
// one of its processes was killed decides itself how it ends; the log mentions the kill.
// kubelet gives the container the reason OOMKilled in any case, and starts no other then.
// Where the kernel kills the whole container, as is usual with v2, only that reason says so. A volume beyond
// its limit is noticed by kubelet, which evicts the pod; disk is for disks that are
// really full.
//
// Standard output and standard error of the containers, in that order of steps, are
// the staging log that the user sees. Nothing in it is secret.
package steps

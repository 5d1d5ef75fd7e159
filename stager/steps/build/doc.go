// Package build is the second staging step: it runs buildpacks on the app's source
// code and packs what they leave into a droplet.
//
// # The buildpack contract
//
// Buildpacks find what they are used to find, relative to the shared volume, which
// the build container has at /tmp:
//
//	app/                       the app's source code: the build directory
//	buildpacks/<md5 of key>/   each buildpack; also below a single folder, as in
//	                           archives of git hosts
//	cache/final/               the cache of the last buildpack that is used
//	cache/<md5 of key>/        that of any other one; other folders are removed
//	contents/deps/<index>/     what each used buildpack supplies. Indices are as wide
//	                           as the number of used buildpacks
//	contents/profile.d/        scripts for the app's start
//
// When every buildpack skips detection all of them are used. Otherwise bin/detect BUILD
// of each is run in order, and the first that succeeds is the only one used. Then:
//
//	bin/supply BUILD CACHE DEPS INDEX             of all but the last
//	bin/supply BUILD CACHE DEPS INDEX             of the last, if it has both this …
//	bin/finalize BUILD CACHE DEPS INDEX PROFILE   … and this
//	bin/compile BUILD CACHE                       of the last, if it has no bin/finalize;
//	                                              its folder in DEPS is removed
//	bin/release BUILD                             of the last, unless it left a launch.yml
//
// Process types come from each buildpack's launch.yml in its folder of DEPS, then from
// what the last one's bin/release printed, then from the app's Procfile; a later one
// replaces an earlier one of its type. Processes of a launch.yml that are
// sidecar_for others are sidecars. The name and version of a buildpack come from its
// config.yml in DEPS. In all of these a key may stand more than once: the last one
// counts, and the user is warned.
//
// Scripts run in their own process group with standard input closed, in HOME, with
// the step's own environment and in it CF_STACK, BUILDPACKS_DIR, HOME, USER, and
// DATABASE_URL where a bound service is a database. Output goes where the step's own
// goes, untouched, but for what bin/detect and bin/release print on standard output.
//
// # The end
//
// When the context ends, the running script's process group gets SIGTERM and five
// seconds, and then everything that descends from it SIGKILL. Whatever a script
// leaves running is killed before the droplet is packed, so that nothing changes
// under way. User code never runs twice: a build that finds its mark of an earlier
// start refuses to run.
//
// Run must be called at most once in a process, which becomes the parent of all
// orphans among the scripts' processes and must start no others meanwhile.
package build

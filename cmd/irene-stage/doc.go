// Command irene-stage runs the steps of a staging, each in a container of its own:
//
//	irene-stage fetch    brings app package, buildpacks and cache into the shared volume
//	irene-stage build    runs the buildpacks and packs the droplet
//	irene-stage push     hands the droplet to Cloud Controller and to the registry
//
// Package stager/steps says what each expects and leaves: configuration, folders,
// exit status, termination message.
//
//	--config FILE           the step's configuration; without it, the environment
//	                        variable IRENE_STAGE_CONFIG holds it
//	--termination-log FILE  takes the step's outcome; /dev/termination-log if not given
//
// Standard output and standard error are the staging log that the user sees. SIGTERM
// and SIGINT end the step.
//
// Where the image has no certificate authorities, those of Mozilla that are built in
// are trusted.
package main

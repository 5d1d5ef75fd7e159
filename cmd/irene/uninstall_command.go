package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/irene-cf/irene/k8s"
)

// uninstallPatience bounds all of "irene uninstall".
const uninstallPatience = 3 * time.Minute

// uninstallCommand removes what would stick, or be left over, without an Irene.
func uninstallCommand(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("irene uninstall", flag.ContinueOnError)
	flags.SetOutput(stderr)
	namespace := flags.String("namespace", "", "the `NAMESPACE` of all apps")
	lease := flags.String("lease", "", "the leader's Lease to delete, as `NAMESPACE/NAME`; none if empty")
	kubeconfig := flags.String("kubeconfig", "", "`FILE` that says how to reach the API server; empty inside the cluster")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return exitUsage
	case *namespace == "":
		fmt.Fprintln(stderr, "irene uninstall: --namespace NAMESPACE is required")
		return exitUsage
	case flags.NArg() > 0:
		fmt.Fprintf(stderr, "irene uninstall: unexpected argument %q\n", flags.Arg(0))
		return exitUsage
	}
	leaseNamespace, leaseName, named := strings.Cut(*lease, "/")
	if *lease != "" && (!named || leaseNamespace == "" || leaseName == "") {
		fmt.Fprintf(stderr, "irene uninstall: --lease: %q is not NAMESPACE/NAME\n", *lease)
		return exitUsage
	}
	ctx, cancel := context.WithTimeout(ctx, uninstallPatience)
	defer cancel()
	clients, err := k8s.NewClients(*kubeconfig, 1, prometheus.NewRegistry())
	if err != nil {
		fmt.Fprintf(stderr, "irene: %v\n", err)
		return exitFailed
	}
	released, err := k8s.ReleaseJobs(ctx, clients.Typed, *namespace)
	fmt.Fprintf(stdout, "Jobs that nobody reports any more: %d\n", released)
	released, failed := k8s.ReleasePods(ctx, clients.Typed, clients.Metadata, *namespace)
	fmt.Fprintf(stdout, "Pods whose replacement is not delayed any more: %d\n", released)
	err = errors.Join(err, failed)
	if leaseName != "" {
		deleted := clients.Typed.CoordinationV1().Leases(leaseNamespace).Delete(ctx, leaseName, metav1.DeleteOptions{})
		if deleted != nil && !apierrors.IsNotFound(deleted) {
			err = errors.Join(err, fmt.Errorf("delete Lease %s: %w", *lease, deleted))
		}
	}
	if err != nil {
		fmt.Fprintf(stderr, "irene: %v\n", err)
		return exitFailed
	}
	return 0
}

package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"code.cloudfoundry.org/lager/v3"
	"golang.org/x/sync/errgroup"
)

// service is a process ready to run: its listeners are open, nothing is served.
type service struct {
	shutdown        Shutdown
	logger          lager.Logger
	api, observe    *http.Server
	apiListener     net.Listener
	observeListener net.Listener
	// doors are further front doors.
	doors []listeningDoor
	ready *readiness
	// background run until their context ends, which is after the last request.
	background []work
}

// listeningDoor is a front door's server with its open listener.
type listeningDoor struct {
	name     string
	server   *http.Server
	listener net.Listener
}

// listen opens the API's and the health port's listener. certificates is nil for
// plaintext.
func listen(apiAddress, observeAddress string, certificates *serverCertificates) (api, observe net.Listener, err error) {
	if api, err = net.Listen("tcp", apiAddress); err != nil {
		return nil, nil, fmt.Errorf("listen.address: %w", err)
	}
	if certificates != nil {
		api = tls.NewListener(api, certificates.tlsConfig())
	}
	if observe, err = net.Listen("tcp", observeAddress); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("observe.address: %w", err), api.Close())
	}
	return api, observe, nil
}

// run serves until ctx ends or a part fails, then winds everything down in the
// order that doc.go promises. Ending because ctx ended is no error, unless
// something had to be cut off. It returns after the last goroutine has ended, or
// shutdown.timeout after the API was told to close if one doesn't end.
func (s *service) run(ctx context.Context) error {
	// Work outlives ctx: requests that are still running may need it.
	workCtx, stopWork := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWork()
	group, groupCtx := errgroup.WithContext(workCtx)
	s.start(groupCtx, group)
	addresses := lager.Data{"api": s.apiListener.Addr().String(), "observe": s.observeListener.Addr().String()}
	for _, further := range s.doors {
		addresses[strings.ToLower(further.name)] = further.listener.Addr().String()
	}
	s.logger.Info("started", addresses)

	select {
	case <-ctx.Done():
	case <-groupCtx.Done():
	}
	s.leave(groupCtx)
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.shutdown.Timeout.Duration)
	defer cancel()
	closed := s.closeServers(limit, stopWork)

	ended := make(chan error, 1)
	go func() { ended <- group.Wait() }()
	select {
	case err := <-ended:
		s.logger.Info("stopped")
		return errors.Join(err, closed)
	case <-limit.Done():
		return errors.Join(closed, fmt.Errorf("background work was still running after shutdown.timeout, %s", s.shutdown.Timeout))
	}
}

func (s *service) start(groupCtx context.Context, group *errgroup.Group) {
	serve := func(server *http.Server, listener net.Listener, what string) {
		group.Go(func() error {
			if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("serve %s: %w", what, err)
			}
			return nil
		})
	}
	serve(s.observe, s.observeListener, "health and metrics")
	serve(s.api, s.apiListener, "the API")
	for _, door := range s.doors {
		serve(door.server, door.listener, "the "+door.name+" API")
		s.logger.Info("door-open", lager.Data{"door": door.name, "address": door.listener.Addr().String()})
	}
	for _, run := range s.background {
		group.Go(func() error {
			err := run(groupCtx)
			if groupCtx.Err() != nil && errors.Is(err, context.Canceled) {
				return nil
			}
			return err
		})
	}
}

// leave turns readiness off and gives everybody shutdown.delay to notice, unless
// a part has failed, which is when groupCtx has ended.
func (s *service) leave(groupCtx context.Context) {
	s.ready.leaving.Store(true)
	s.logger.Info("leaving", lager.Data{"delay": s.shutdown.Delay.String()})
	delay := time.NewTimer(s.shutdown.Delay.Duration)
	defer delay.Stop()
	select {
	case <-delay.C:
	case <-groupCtx.Done():
	}
}

// closeServers lets requests end until limit, then stops the work that they may
// have needed. Health and metrics close last.
func (s *service) closeServers(limit context.Context, stopWork context.CancelFunc) error {
	var errs []error
	servers := []*http.Server{s.api}
	for _, door := range s.doors {
		servers = append(servers, door.server)
	}
	for _, server := range servers {
		if err := server.Shutdown(limit); err != nil {
			errs = append(errs, fmt.Errorf("requests were still running after shutdown.timeout, %s, and have been cut off: %w", s.shutdown.Timeout, err), server.Close())
		}
	}
	stopWork()
	if err := s.observe.Shutdown(limit); err != nil {
		errs = append(errs, s.observe.Close())
	}
	return errors.Join(errs...)
}

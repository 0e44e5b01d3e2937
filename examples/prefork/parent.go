// SPDX-License-Identifier: Apache-2.0

//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/shoal-metrics/shoal/examples/internal/anyredis"
)

const (
	// inheritedFile is the descriptor at which a worker finds the listener:
	// the first after standard input, output and error.
	inheritedFile = 3
	// respawnPause is the least time between two starts of one worker, which may die at
	// once, again and again.
	respawnPause = 200 * time.Millisecond
	// patience is the time that a worker has to drain and close before it is killed.
	patience = 30 * time.Second
)

// supervise keeps the workers running until ctx is done and returns when all
// have ended.
func supervise(ctx context.Context, addr string, workers int, redis string) error {
	redis, stopRedis, err := anyredis.Open(redis)
	if err != nil {
		return err
	}
	defer stopRedis() // last, since the workers send their last counts at their end

	port, err := openPort(addr)
	if err != nil {
		return err
	}
	log.Printf("serving on http://%s with %d workers, metrics in %s", addr, workers, anyredis.Shown(redis))
	var group sync.WaitGroup
	errs := make([]error, workers)
	for index := range workers {
		group.Go(func() { errs[index] = keep(ctx, index, port, redis) })
	}
	<-ctx.Done()
	_ = port.Close() // once the workers have ended, nobody accepts: no connection may queue up
	group.Wait()
	return errors.Join(errs...)
}

// keep runs one worker after the other and returns how the last one ended.
func keep(ctx context.Context, index int, port *os.File, redis string) error {
	for {
		begin := time.Now()
		err := runWorker(ctx, index, port, redis)
		if ctx.Err() != nil {
			return err
		}
		log.Printf("worker %d ended, starting another: %v", index, err)
		select {
		case <-time.After(respawnPause - time.Since(begin)):
		case <-ctx.Done():
			return nil
		}
	}
}

func runWorker(ctx context.Context, index int, port *os.File, redis string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, self, "-worker", strconv.Itoa(index))
	cmd.Env = anyredis.Environment(redis) // not an argument, which everybody can read
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{port}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = patience
	alive, err := cmd.StdinPipe() // closed when the parent ends, by which the worker notices
	if err != nil {
		return err
	}
	defer func() { _ = alive.Close() }()
	err = cmd.Run()
	if ctx.Err() != nil && (cmd.ProcessState == nil || cmd.ProcessState.Success()) {
		return nil // it ended at our SIGTERM, or was never started
	}
	if err != nil {
		err = fmt.Errorf("worker %d: %w", index, err)
	}
	return err
}

// openPort listens on addr and returns a descriptor that workers inherit.
func openPort(addr string) (*os.File, error) {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	defer func() { _ = listener.Close() }() // the descriptor stays
	conn, err := listener.(*net.TCPListener).SyscallConn()
	if err != nil {
		return nil, err
	}
	// Not TCPListener.File: exec makes such a file blocking when a child inherits it, also
	// for the workers that accept on it already, until the new worker sets it back. A
	// worker that calls accept in between could not be stopped.
	var fd int
	var dupErr error
	err = conn.Control(func(original uintptr) {
		if fd, dupErr = syscall.Dup(int(original)); dupErr == nil {
			syscall.CloseOnExec(fd)
		}
	})
	if err := errors.Join(err, dupErr); err != nil {
		return nil, fmt.Errorf("duplicating the listener: %w", err)
	}
	return os.NewFile(uintptr(fd), "listener"), nil
}

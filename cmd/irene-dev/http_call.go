package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// httpClient asks no proxy: all that is asked is on this machine.
var httpClient = &http.Client{Transport: &http.Transport{}, Timeout: 30 * time.Second}

// maxAnswer bounds an answer that is read, in bytes.
const maxAnswer = 8 << 20

// call makes one request and returns the answer's status and body; err only when
// there was no answer.
func call(ctx context.Context, method, url string, body []byte) (status int, answer string, err error) {
	return callHost(ctx, method, url, "", body)
}

// callHost is call with another Host header than the URL's, unless host is empty.
func callHost(ctx context.Context, method, url, host string, body []byte) (status int, answer string, err error) {
	request, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return 0, "", fmt.Errorf("%s %s: %w", method, url, err)
	}
	request.Host = host
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := httpClient.Do(request)
	if err != nil {
		return 0, "", err // names method and URL itself
	}
	defer response.Body.Close()
	content, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return 0, "", fmt.Errorf("%s %s: %w", method, url, err)
	}
	return response.StatusCode, strings.TrimSpace(string(content)), nil
}

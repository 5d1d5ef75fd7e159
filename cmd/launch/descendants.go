package main

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strconv"
)

// descendants returns the processes below one, in no order, as /proc shows them.
// Those that come or go meanwhile may or may not be among them.
func descendants(root int) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	children := map[int][]int{}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile("/proc/" + entry.Name() + "/stat")
		if err != nil {
			continue // it has ended
		}
		parent, err := parentOf(stat)
		if err != nil {
			return nil, fmt.Errorf("read /proc/%d/stat: %w", pid, err)
		}
		children[parent] = append(children[parent], pid)
	}
	found := slices.Clone(children[root])
	for next := 0; next < len(found); next++ {
		found = append(found, children[found[next]]...)
	}
	return found, nil
}

// parentOf reads the parent's number from the text of a /proc/PID/stat: number,
// name in parentheses, state, parent. The name is the program's own and may hold
// blanks and parentheses, so the last closing one ends it.
func parentOf(stat []byte) (int, error) {
	end := bytes.LastIndexByte(stat, ')')
	if end < 0 {
		return 0, fmt.Errorf("no process name in it")
	}
	fields := bytes.Fields(stat[end+1:])
	if len(fields) < 2 {
		return 0, fmt.Errorf("no parent in it")
	}
	return strconv.Atoi(string(fields[1]))
}

package build

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// memoryEvents is where the kernel counts what happens at the container's memory
// limit: with control groups v2 and with v1.
var memoryEvents = [...]string{"/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control"}

// memoryKills is how many processes of this container the kernel has killed for want
// of memory; 0 where it doesn't say.
func memoryKills() int {
	for _, file := range memoryEvents {
		if text, err := os.ReadFile(file); err == nil {
			return parseMemoryKills(string(text))
		}
	}
	return 0
}

func parseMemoryKills(text string) int {
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && name == "oom_kill" {
			kills, err := strconv.Atoi(value)
			if err != nil {
				return 0
			}
			return kills
		}
	}
	return 0
}

// diskIsFull tells whether the volume has no room for another file of a few pages.
func diskIsFull(folder string) bool {
	var stat unix.Statfs_t
	if err := unix.Statfs(folder, &stat); err != nil {
		return false
	}
	const pages = 16
	return stat.Blocks > 0 && stat.Bavail < pages || stat.Files > 0 && stat.Ffree == 0
}

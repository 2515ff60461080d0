//go:build unix && !solaris && !aix

package store

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// tryLock takes the lock that bbolt takes, and reports whether no other process has it.
func tryLock(file *os.File) (bool, error) {
	err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}

// unlock lets the lock go. To close the file would not, as long as bbolt has it mapped.
func unlock(file *os.File) { _ = syscall.Flock(int(file.Fd()), syscall.LOCK_UN) } // an error: it is closed, or the lock is held on

// lockHolder returns "number 4711 (ucwarden); " for the process that has the file locked; "" where the system does not
// say. Linux lists locks as "1: FLOCK  ADVISORY  WRITE 4711 fe:00:1234 0 EOF", the file by device and inode.
func lockHolder(file *os.File) string {
	info, err := file.Stat()
	if err != nil {
		return ""
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	locks, err := os.Open("/proc/locks")
	if err != nil {
		return ""
	}
	defer func() { _ = locks.Close() }() // it was only read
	for lines := bufio.NewScanner(locks); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		inode := strconv.FormatUint(uint64(stat.Ino), 10) //nolint:unconvert // it has 32 bits on some systems
		if len(fields) < 6 || fields[1] != "FLOCK" || !strings.HasSuffix(fields[5], ":"+inode) {
			continue
		}
		if pid, err := strconv.Atoi(fields[4]); err == nil && pid > 0 {
			if name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)); err == nil {
				return fmt.Sprintf("number %d (%s); ", pid, strings.TrimSpace(string(name)))
			}
			return fmt.Sprintf("number %d; ", pid)
		}
	}
	return ""
}

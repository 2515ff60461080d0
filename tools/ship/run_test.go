package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const chart = "../../deploy/helm/ucwarden/"

// found returns what a pattern matches in a file of the chart, so that a container is run as the chart says.
func found(t *testing.T, file, pattern string) string {
	t.Helper()
	m := regexp.MustCompile(`(?m)^ *` + pattern + `$`).FindSubmatch(read(t, chart+file))
	if m == nil {
		t.Fatalf("%s has no line %s", file, pattern)
	}
	return string(m[len(m)-1])
}

// syscalls are those that the program may make here: fewer than the RuntimeDefault profile of container runtimes allows.
const syscalls = `accept4 access arch_prctl bind brk clone clone3 close connect dup3 epoll_create1 epoll_ctl epoll_pwait eventfd2 execve
exit exit_group faccessat2 fchmod fchmodat fcntl fdatasync flock fstat fstatfs fsync ftruncate futex getcwd getdents64 getegid geteuid getgid
getpeername getpid getppid getrandom getrlimit getsockname getsockopt gettid getuid inotify_add_watch inotify_init1 inotify_rm_watch ioctl
linkat listen lseek madvise mincore mkdirat mmap mprotect munmap nanosleep newfstatat openat pipe2 prctl pread64 prlimit64 pwrite64 read
readlinkat recvfrom recvmsg renameat renameat2 restart_syscall rseq rt_sigaction rt_sigprocmask rt_sigreturn rt_sigtimedwait sched_getaffinity
sched_yield sendmsg sendto set_robust_list set_tid_address setrlimit setsockopt shutdown sigaltstack socket statfs tgkill timer_create
timer_delete timer_settime uname unlinkat utimensat wait4 waitid write writev`

// container runs the image under runc with the security context of the chart.
type container struct {
	*testing.T
	runc, bundle, volume string
}

func newContainer(t *testing.T) *container {
	t.Helper()
	runc, err := exec.LookPath("runc")
	if err != nil || os.Getuid() != 0 {
		t.Skip("NOT RUN: the image in a container, which needs runc and root")
	}
	files, err := imageFiles(read(t, program), zoneinfo(t))
	if err != nil {
		t.Fatal(err)
	}
	c := &container{t, runc, t.TempDir(), ""}
	if err := writeFiles(filepath.Join(c.bundle, "rootfs"), files); err != nil {
		t.Fatal(err)
	}
	c.volume = filepath.Join(c.bundle, "volume")
	if err := errors.Join(os.Mkdir(c.volume, 0o750), os.Chown(c.volume, user, user)); err != nil {
		t.Fatal(err)
	}
	return c
}

// run runs the program with more of an environment, and returns what it prints and the error of its end.
func (c *container) run(volume string, environ []string, args ...string) (string, error) {
	c.Helper()
	if uid := found(c.T, "values.yaml", `runAsUser: (\d+)`); uid != fmt.Sprint(user) {
		c.Fatalf("the chart runs the image as %s, and it is made for %d", uid, user)
	}
	found(c.T, "templates/statefulset.yaml", `drop: \[ALL\]`)
	found(c.T, "templates/statefulset.yaml", `type: RuntimeDefault`)
	spec := map[string]any{
		"ociVersion": "1.0.2",
		"process": map[string]any{
			"terminal": false, "cwd": "/var/lib/ucwarden", "args": append([]string{"/ucwarden"}, args...),
			"user": map[string]any{"uid": user, "gid": user}, "capabilities": map[string]any{},
			"noNewPrivileges": found(c.T, "templates/statefulset.yaml", `allowPrivilegeEscalation: (\w+)`) == "false",
			"env":             append([]string{"UCWARDEN_STORE_PATH=/var/lib/ucwarden/data", "TZ=Europe/Paris"}, environ...),
		},
		"root": map[string]any{"path": "rootfs", "readonly": found(c.T, "templates/statefulset.yaml", `readOnlyRootFilesystem: (\w+)`) == "true"},
		"linux": map[string]any{
			"namespaces": []map[string]string{{"type": "mount"}, {"type": "pid"}, {"type": "ipc"}, {"type": "network"}},
			"seccomp": map[string]any{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": []map[string]any{
				{"names": strings.Fields(syscalls), "action": "SCMP_ACT_ALLOW"},
			}},
		},
		"mounts": []map[string]any{
			{"destination": "/proc", "type": "proc", "source": "proc"},
			{"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": []string{"nosuid", "nodev", "size=64m"}},
			{"destination": "/var/lib/ucwarden", "type": "bind", "source": c.volume, "options": []string{"bind", "nosuid", "nodev", volume}},
		},
	}
	data, err := json.Marshal(spec)
	if err != nil {
		c.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(c.bundle, "config.json"), data, 0o600); err != nil {
		c.Fatal(err)
	}
	name := fmt.Sprintf("ucwarden-test-%d", os.Getpid())
	out, err := exec.Command(c.runc, "--root", filepath.Join(c.bundle, "state"), "run", "--bundle", c.bundle, name).CombinedOutput()
	return string(out), err
}

// The image runs under a container runtime as the chart runs it: as its user, without capabilities, on a root that cannot be
// written, with a volume. The demo is the whole program: daemon, store, REST API, event hub and emulated workspace.
func TestRun(t *testing.T) {
	c := newContainer(t)
	if out, err := c.run("rw", nil, "version"); err != nil || !strings.Contains(out, "go1.") {
		t.Fatalf("version: %v: %s", err, out)
	}
	generate := []string{"keys", "generate", "--once", "--out", "/var/lib/ucwarden/keys"}
	for _, want := range []string{"key id", "are there already"} {
		if out, err := c.run("rw", nil, generate...); err != nil || !strings.Contains(out, want) {
			t.Errorf("keys: %v: %s", err, out)
		}
	}
	if info, err := os.Stat(filepath.Join(c.volume, "keys/instance1/api-server/private-key.pem")); err != nil || info.Mode() != 0o600 {
		t.Errorf("private key: %v %v", info, err)
	}
	if out, err := c.run("rw", nil, "keys", "generate", "--out", "/keys"); err == nil || !strings.Contains(out, "read-only file system") {
		t.Errorf("the root was written: %v: %s", err, out)
	}
	if out, err := c.run("rw", nil, "demo", "--exit"); err != nil || !strings.Contains(out, "All of it done in") {
		t.Errorf("demo: %v: %s", err, out)
	}
}

// What the pod's log says first about a set-up that cannot work, and that doctor says the same. The clock: see
// TestClockIsWrong of cmd/ucwarden.
func TestFirstLines(t *testing.T) {
	c := newContainer(t)
	const variable = "UCWARDEN_DATABRICKS_TOKEN"
	policies := []string{"--set", "policies.path=/etc/ucwarden", "--set", "databricks.host=http://127.0.0.1:9"}
	for name, test := range map[string]struct {
		volume, environ, want string
	}{
		"read-only volume":  {"ro", variable + "=x", "/var/lib/ucwarden/data: read-only file system"},
		"secret is missing": {"rw", variable + "_FILE=/etc/ucwarden/secrets/databricks.token", variable + "_FILE: databricks.token: read the secret: open /etc/ucwarden/secrets/databricks.token: no such file"},
	} {
		out, err := c.run(test.volume, []string{test.environ}, append([]string{"serve"}, policies...)...)
		if first, _, _ := strings.Cut(out, "\n"); err == nil || !strings.Contains(first, test.want) {
			t.Errorf("%s: %v: the log begins with %q", name, err, out)
		}
		out, err = c.run(test.volume, []string{test.environ}, append([]string{"doctor"}, policies...)...)
		same := strings.TrimPrefix(test.want, "/var/lib/ucwarden/data: ") // doctor tries the folder above, which is there
		if !regexp.MustCompile(`(?m)^problem .*`+regexp.QuoteMeta(same)).MatchString(out) || err == nil {
			t.Errorf("%s: %v: doctor says\n%s", name, err, out)
		}
	}
}

// The systemd unit is as hardened as it says, by systemd's own reckoning.
func TestUnit(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("NOT RUN: systemd's opinion of the unit, which needs systemd-analyze")
	}
	const unit = "../../deploy/systemd/ucwarden.service"
	out, err := exec.Command(analyze, "security", "--offline=true", "--no-pager", unit).CombinedOutput()
	if err != nil {
		t.Skipf("NOT RUN: this systemd cannot judge a unit offline: %v", err)
	}
	_, level, ok := strings.Cut(string(out), "exposure level for ucwarden.service: ")
	if !ok {
		t.Fatalf("%s", out)
	}
	score, _, _ := strings.Cut(level, " ")
	if !strings.Contains(string(read(t, unit)), "ucwarden.service: "+score+"\n") {
		t.Errorf("the unit does not name its score, %s", score)
	}
	if !strings.Contains(string(read(t, "../../docs/deployment.md")), "rates its exposure "+score+" of 10") {
		t.Errorf("docs/deployment.md does not name the unit's score, %s", score)
	}
}

// The unit is installed by the commands of docs/deployment.md, and runs, under a systemd of its own.
func TestUnitRuns(t *testing.T) {
	if _, err := os.Stat("/lib/systemd/systemd"); err != nil || os.Getuid() != 0 {
		t.Skip("NOT RUN: the unit under systemd, which needs systemd and root")
	}
	_, section, _ := strings.Cut(string(read(t, "../../docs/deployment.md")), "## A plain machine with systemd\n")
	_, block, _ := strings.Cut(section, "```sh\n")
	documented, _, ok := strings.Cut(block, "```\n")
	if !ok {
		t.Fatal("docs/deployment.md shows no commands")
	}
	work := t.TempDir()
	root := filepath.Join(work, "root")
	if err := errors.Join(os.MkdirAll(filepath.Join(root, "bin/release"), 0o755), os.Mkdir(filepath.Join(work, "over"), 0o755),
		os.CopyFS(filepath.Join(root, "deploy"), os.DirFS("../../deploy")),
		os.WriteFile(filepath.Join(root, "bin/release/ucwarden-linux-amd64"), read(t, program), 0o755),
		os.WriteFile(filepath.Join(work, "check.sh"), []byte(strings.Replace(string(read(t, "testdata/check-unit.sh")), "DOCUMENTED\n", documented, 1)), 0o644)); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "unshare", "--mount", "--propagation", "private", "bash", "testdata/systemd.sh", work).CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == 75 {
		t.Skipf("NOT RUN: the unit under systemd: %s", out)
	}
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

#!/bin/bash
# systemd.sh WORK: run under systemd, as process 1 of namespaces of its own, what WORK/check.sh does in WORK/root.
# The machine's files are beneath an overlay: nothing of it is changed. Needs root, overlayfs and a cgroup2 hierarchy; exits
# with 75 where they are not to be had. What check.sh prints comes out; its exit code is that of this script.
# To be started by: unshare --mount --propagation private bash systemd.sh WORK
set -eu
work=$1
lacks() { echo "systemd cannot be run here: $1" >&2; exit 75; }

hierarchy=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
[ -n "$hierarchy" ] || lacks 'no cgroup2 hierarchy'
group=$hierarchy/ucwarden-test-$$
mkdir "$group" || lacks 'no cgroup can be made'
clean() { # a group can be removed once its processes have ended
	for _ in $(seq 50); do
		find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || true
		[ -d "$group" ] || return 0
		sleep 0.1
	done
}
trap clean EXIT
mount -t tmpfs tmpfs "$work/over" && mkdir "$work/over/up" "$work/over/work" "$work/over/machine" || lacks 'no tmpfs'
machine=$work/over/machine
mount -t overlay overlay -o "lowerdir=/,upperdir=$work/over/up,workdir=$work/over/work" "$machine" || lacks 'no overlay'
cp -r "$work/root/." "$machine/root/" && cp "$work/check.sh" "$machine/root/check.sh"

cat > "$work/inside.sh" <<'INSIDE'
set -eu
machine=$1
mount -t proc proc "$machine/proc"
mount -t sysfs -o ro sysfs "$machine/sys"
mount -t cgroup2 cgroup2 "$machine/sys/fs/cgroup"
mount -t tmpfs tmpfs "$machine/run"
mount -t tmpfs tmpfs "$machine/tmp"
mount --bind /dev "$machine/dev"
ip link set lo up || true
units=$machine/etc/systemd/system
mount -t tmpfs tmpfs "$units"
: > "$machine/etc/fstab"
# Nothing of the machine's own is started.
for unit in "$machine"/lib/systemd/system/{sysinit,multi-user,sockets,local-fs,timers}.target.wants/*; do
	case ${unit##*/} in systemd-journal*|systemd-tmpfiles-setup.service) ;; *) ln -sf /dev/null "$units/${unit##*/}" ;; esac
done
mkdir -p "$units/multi-user.target.wants"
cat > "$units/check.service" <<'UNIT'
[Unit]
After=multi-user.target
[Service]
Type=oneshot
WorkingDirectory=/root
ExecStart=/bin/bash -c 'bash check.sh; echo $? > /root/ended.new; mv /root/ended.new /root/ended'
StandardOutput=file:/root/out
StandardError=file:/root/out
UNIT
ln -s ../check.service "$units/multi-user.target.wants/check.service"
cd "$machine"
mkdir -p before
pivot_root . before
mount --make-rshared /
exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --system --log-target=journal --unit=multi-user.target --show-status=0
INSIDE
(
	echo "$BASHPID" > "$group/cgroup.procs"
	exec unshare --fork --pid --uts --ipc --net --cgroup --mount --propagation private --kill-child bash "$work/inside.sh" "$machine" >"$work/boot" 2>&1
) &
systemd=$!
for _ in $(seq 1200); do
	if [ -f "$machine/root/ended" ] || ! kill -0 "$systemd" 2>/dev/null; then break; fi
	sleep 0.1
done
cat "$machine/root/out" 2>/dev/null || { cat "$work/boot"; lacks 'it did not start'; }
code=$(cat "$machine/root/ended" 2>/dev/null || echo 1)
kill -9 "$systemd" 2>/dev/null || true
wait "$systemd" 2>/dev/null || true
exit "$code"

#!/bin/busybox sh
# The first process of an emulated machine: performs the scenarios as root and as an ordinary user, sends the answers
# out by the second serial port as a tar archive, and turns the machine off.
/bin/busybox mkdir -p /proc /sys /dev /tmp /etc
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
chmod 1777 /tmp
echo user:x:64000:64000::/:/bin/sh >/etc/passwd
for module in /modules/*; do
    insmod "$module" || echo "not loaded: $module"
done
echo >/proc/sys/kernel/modprobe # there are no others: no process for each socket() of a protocol that is absent

cd /work || exit
mkdir out
for scenarios in explore*.scenario; do
    [ -e "$scenarios" ] || continue
    name=${scenarios%.scenario}
    options=$(echo "$name" | sed 's/explore[0-9]*//; s/-\(.\)/ -\1 /g')
    # shellcheck disable=SC2086 # words
    ./runner $options <"$scenarios" >"out/$name.jsonl"
    explored=$((explored | $?))
done
root=0 user=0
if [ -e suite.scenario ]; then
    ./runner <suite.scenario >out/root.answers || root=$?
    su user -c "./runner <user.scenario" >out/user.answers || user=$?
fi
echo "{\"root\": $root, \"explore\": ${explored:-0}, \"user\": $user}" >out/done.json

stty -F /dev/ttyS1 raw
tar -c -z -f - -C out . >/dev/ttyS1
sync
poweroff -f

# In which namespaces a process is: on the host, in chapter 1 and in chapter 2.
links() { sed -n 's/.* \([a-z]*\) -> [a-z]*:\[\([0-9]*\)\]$/\1 \2/p'; }
echo "== the host"
ls -l /proc/self/ns | links
echo "== cargo ch1"
"$TARGET/ch01-chroot" ls -l /proc/self/ns | links
echo "== cargo ch2"
"$TARGET/ch02-namespaces" ls -l /proc/self/ns | links

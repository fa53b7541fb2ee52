# The mount table before pivot_root, after it, and after the old root has gone. Of the host's mounts
# those stay that every machine has.
exec unshare -Urm sh -c '
cd "$1" || exit 1
mount -t tmpfs new . && cd "$1" && mkdir bin old proc && cp /bin/busybox bin || exit 1
mount --rbind /proc proc || exit 1
table() {
    echo "== $1"
    while read -r _ _ _ _ point rest; do
        rest=${rest#* - }
        echo "$point ${rest%% *}"
    done <"$2/self/mountinfo" | /"$3"bin/busybox sed "s#^$here#/new#" |
        /"$3"bin/busybox grep -E "^(/|/proc|/sys|/dev|/new.*|/old|/old/(proc|sys|dev)) " |
        /"$3"bin/busybox grep -vE "^[a-z/]*/proc/"
}
here=$1
table before /proc ""
pivot_root . old
here=/nowhere
table "after pivot_root" /proc ""
bin/busybox umount -l old
table "after umount2" /proc ""
' sh "$SCRATCH"

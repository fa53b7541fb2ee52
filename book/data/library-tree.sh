# The files that ls needs, and which of them names which.
echo "== needs"
"$TARGET/examples/needs" /bin/ls

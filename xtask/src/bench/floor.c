/* The floor of `cargo xtask bench run`: what the kernel alone takes for a container.
 *
 * The changes of the system that `minidocker run --rm --network none` makes, in the same order, and
 * nothing else: no image is looked up, no record is written, no flag is parsed, no second process
 * watches the first. `strace -f` of both shows the same mounts, namespaces, groups and capabilities.
 *
 *   floor [-u single|helpers] [-s STEPS] [-g GROUP]... [-d DEVICES] LOWER STATE PROGRAM
 *
 * STEPS stops after the first so many rows of bench/floor.rs, so that their prices add up.
 * Compiled by bench/floor.rs; not part of any build.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NAMESPACES = 1, ROOTFS, MOUNTS, MASKS, IDENTITY, CGROUP };

#define TRY(call) do { if ((call) < 0) die(#call); } while (0)

static const char *program, *state, *lower, *devices, *user;
static char *groups[4];
static int group_count, steps = CGROUP;
static char text[4][4096];

static void die(const char *call) {
    fprintf(stderr, "floor: %s: %s\n", call, strerror(errno));
    _exit(125);
}

/* One of four buffers by turns. */
static char *say(const char *format, ...) {
    static int next;
    char *out = text[next++ % 4];
    va_list list;
    va_start(list, format);
    vsnprintf(out, sizeof text[0], format, list);
    va_end(list);
    return out;
}

static void write_file(const char *path, int flags, const char *words) {
    int fd = open(path, O_WRONLY | O_CLOEXEC | flags, 0644);
    if (fd < 0 || write(fd, words, strlen(words)) < 0) die(path);
    close(fd);
}

/* The container's folder, with what is bound over files of its /etc. */
static void make_state(void) {
    TRY(mkdir(state, 0700));
    TRY(chdir(state));
    TRY(mkdir("upper", 0755));
    TRY(mkdir("work", 0755));
    TRY(mkdir("rootfs", 0755));
    write_file("hostname", O_CREAT, "floor\n");
    write_file("hosts", O_CREAT, "127.0.0.1\tlocalhost\n::1\tlocalhost\n");
    write_file("resolv.conf", O_CREAT, "nameserver 127.0.0.1\n");
}

static void remove_state(void) {
    /* Mode 000: its owner, without capabilities, has to open it first. */
    if (user) chmod("work/work", 0700), chmod("work/work/incompat", 0700), chmod("work/work/incompat/volatile", 0700);
    unlink("work/work/incompat/volatile/dirty");
    rmdir("work/work/incompat/volatile");
    rmdir("work/work/incompat");
    rmdir("work/work");
    TRY(rmdir("work"));
    TRY(rmdir("upper"));
    TRY(rmdir("rootfs"));
    TRY(unlink("hostname"));
    TRY(unlink("hosts"));
    TRY(unlink("resolv.conf"));
    TRY(rmdir(state));
}

static void make_groups(void) {
    static const char *rules[] = {"c *:* m", "b *:* m", "c 1:3 rwm", "c 1:5 rwm", "c 1:7 rwm", "c 1:8 rwm",
                                  "c 1:9 rwm", "c 5:0 rwm", "c 5:1 rwm", "c 5:2 rwm", "c 136:* rwm"};
    for (int i = 0; i < group_count; i++) TRY(mkdir(groups[i], 0755));
    if (!devices) return;
    write_file(say("%s/devices.deny", devices), 0, "a");
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        write_file(say("%s/devices.allow", devices), 0, rules[i]);
}

static void mask(const char *path) {
    struct stat st;
    if (stat(path, &st)) return;
    if (S_ISDIR(st.st_mode)) TRY(mount("tmpfs", path, "tmpfs", MS_RDONLY, "nr_blocks=1,nr_inodes=1"));
    else TRY(mount("/dev/null", path, NULL, MS_BIND, NULL));
}

static void make_readonly(const char *path) {
    if (mount(path, path, NULL, MS_BIND | MS_REC, NULL)) return;
    int flags = MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RELATIME;
    TRY(mount(NULL, path, NULL, flags, NULL));
}

static void make_devices(void) {
    static const struct { const char *name; int major, minor; } nodes[] = {
        {"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0}};
    for (size_t i = 0; i < sizeof nodes / sizeof *nodes; i++) {
        char *path = say("rootfs/dev/%s", nodes[i].name);
        if (user) { /* mknod of a device gives EPERM in a user namespace */
            TRY(mknod(path, S_IFREG | 0644, 0));
            TRY(mount(say("/dev/%s", nodes[i].name), path, NULL, MS_BIND, NULL));
        } else {
            TRY(mknod(path, S_IFCHR | 0666, makedev(nodes[i].major, nodes[i].minor)));
            TRY(chmod(path, 0666));
        }
    }
    TRY(symlink("/proc/self/fd", "rootfs/dev/fd"));
    TRY(symlink("/proc/self/fd/0", "rootfs/dev/stdin"));
    TRY(symlink("/proc/self/fd/1", "rootfs/dev/stdout"));
    TRY(symlink("/proc/self/fd/2", "rootfs/dev/stderr"));
    TRY(symlink("pts/ptmx", "rootfs/dev/ptmx"));
}

static void make_mounts(void) {
    const int safe = MS_NOSUID | MS_NODEV | MS_NOEXEC;
    static const char *files[] = {"resolv.conf", "hostname", "hosts"};
    TRY(mount("proc", "rootfs/proc", "proc", safe, NULL));
    TRY(mount("tmpfs", "rootfs/dev", "tmpfs", MS_NOSUID | MS_STRICTATIME, "mode=755,size=65536k"));
    make_devices();
    TRY(mkdir("rootfs/dev/pts", 0755));
    TRY(mkdir("rootfs/dev/mqueue", 0755));
    TRY(mkdir("rootfs/dev/shm", 0755));
    TRY(mount("devpts", "rootfs/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620"));
    TRY(mount("sysfs", "rootfs/sys", "sysfs", safe | MS_RDONLY, NULL));
    TRY(mount("mqueue", "rootfs/dev/mqueue", "mqueue", safe, NULL));
    TRY(mount("shm", "rootfs/dev/shm", "tmpfs", safe, "mode=1777,size=67108864"));
    for (int i = 0; i < 3; i++) {
        char *at = say("rootfs/etc/%s", files[i]);
        TRY(mount(files[i], at, NULL, MS_BIND | MS_REC, NULL));
        TRY(mount(NULL, at, NULL, MS_PRIVATE | MS_REC, NULL));
    }
}

static void make_rootfs(void) {
    char *options = say("lowerdir=%s,upperdir=%s/upper,workdir=%s/work,redirect_dir=%s,metacopy=off,index=off,volatile%s",
                        lower, state, state, user ? "nofollow" : "off", user ? ",userxattr" : "");
    TRY(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
    TRY(mount("overlay", "rootfs", "overlay", 0, options));
    if (steps >= MOUNTS) make_mounts();
    int old = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    TRY(old);
    TRY(chdir("rootfs"));
    TRY(syscall(SYS_pivot_root, ".", "."));
    TRY(fchdir(old));
    TRY(mount(NULL, ".", NULL, MS_REC | MS_SLAVE, NULL));
    TRY(umount2(".", MNT_DETACH));
    TRY(chdir("/"));
}

/* Docker's default capabilities, as bits (moby, oci/caps/defaults.go). */
static const uint64_t kept = 1 << CAP_CHOWN | 1 << CAP_DAC_OVERRIDE | 1 << CAP_FSETID | 1 << CAP_FOWNER | 1 << CAP_MKNOD |
    1 << CAP_NET_RAW | 1 << CAP_SETGID | 1 << CAP_SETUID | 1ull << CAP_SETFCAP | 1 << CAP_SETPCAP |
    1 << CAP_NET_BIND_SERVICE | 1 << CAP_SYS_CHROOT | 1 << CAP_KILL | 1ull << CAP_AUDIT_WRITE;

static void become(void) {
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2] = {{kept, kept, 0}, {kept >> 32, kept >> 32, 0}};
    struct ifreq lo = {.ifr_name = "lo"};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    TRY(ioctl(fd, SIOCGIFFLAGS, &lo));
    lo.ifr_flags |= IFF_UP;
    TRY(ioctl(fd, SIOCSIFFLAGS, &lo));
    close(fd);
    TRY(sethostname("floor", 5));
    for (int cap = 0; cap <= CAP_LAST_CAP; cap++)
        if (!(kept >> cap & 1)) prctl(PR_CAPBSET_DROP, cap);
    gid_t root = 0;
    if (!user || !strcmp(user, "helpers")) TRY(syscall(SYS_setgroups, 1, &root));
    TRY(syscall(SYS_setresgid, 0, 0, 0));
    TRY(syscall(SYS_setresuid, 0, 0, 0));
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    TRY(syscall(SYS_capset, &header, data));
    TRY(prctl(PR_SET_PDEATHSIG, SIGKILL));
}

static void child(int go, const int *joins, int join_count) {
    static const char *masked[] = {"/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys",
        "/proc/latency_stats", "/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats",
        "/sys/devices/virtual/powercap", "/sys/firmware"};
    static const char *readonly[] = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"};
    char word;
    if (user) {
        if (read(go, &word, 1) != 1) _exit(1);
        TRY(setresgid(0, 0, 0));
        TRY(setresuid(0, 0, 0));
    }
    /* By ourselves: a pid that another one writes waits for an RCU grace period. */
    for (int i = 0; i < join_count; i++)
        if (write(joins[i], "0", 1) != 1) die("write to tasks");
    TRY(unshare(CLONE_NEWCGROUP));
    TRY(setsid());
    if (steps >= ROOTFS) make_rootfs();
    for (int i = 0; steps >= MASKS && i < 12; i++) mask(masked[i]);
    for (int i = 0; steps >= MASKS && i < 5; i++) make_readonly(readonly[i]);
    if (steps >= IDENTITY) become();
    char *args[] = {"true", NULL}, *env[] = {"PATH=/usr/bin:/bin", NULL};
    execve(program, args, env);
    die("execve");
}

static void map_ids(pid_t pid) {
    uid_t uid = getuid();
    gid_t gid = getgid();
    if (!strcmp(user, "single")) {
        write_file(say("/proc/%d/setgroups", pid), 0, "deny");
        write_file(say("/proc/%d/uid_map", pid), 0, say("0 %u 1", uid));
        write_file(say("/proc/%d/gid_map", pid), 0, say("0 %u 1", gid));
        return;
    }
    /* SUBID: the first of 65536 subordinate ids; the two helpers at a time. */
    const char *subid = getenv("SUBID"), *names[] = {"newuidmap", "newgidmap"};
    char *target = say("%d", pid), *own[] = {say("%u", uid), say("%u", gid)};
    pid_t helpers[2];
    for (int i = 0; i < 2; i++)
        if (!(helpers[i] = vfork())) {
            execlp(names[i], names[i], target, "0", own[i], "1", "1", subid, "65536", NULL);
            _exit(127);
        }
    for (int i = 0, status; i < 2; i++)
        if (waitpid(helpers[i], &status, 0) < 0 || status) die("newuidmap, newgidmap");
}

int main(int argc, char **argv) {
    for (int option; (option = getopt(argc, argv, "u:s:g:d:")) != -1;) {
        if (option == 'u') user = optarg;
        if (option == 's') steps = atoi(optarg);
        if (option == 'g' && group_count < 4) groups[group_count++] = optarg;
        if (option == 'd') devices = optarg;
    }
    if (argc - optind != 3) die("usage");
    lower = argv[optind], state = argv[optind + 1], program = argv[optind + 2];
    int status, pipes[2], joins[4], join_count = 0, into = -1;
    if (steps < CGROUP) group_count = 0, devices = NULL;
    umask(022);
    if (steps >= ROOTFS) make_state();
    make_groups();
    for (int i = 0; i < group_count; i++) {
        int tasks = open(say("%s/tasks", groups[i]), O_WRONLY | O_CLOEXEC);
        if (tasks >= 0) joins[join_count++] = tasks;
        else TRY(into = open(groups[i], O_PATH | O_DIRECTORY | O_CLOEXEC));
    }
    TRY(pipe2(pipes, O_CLOEXEC));
    struct clone_args args = {.exit_signal = SIGCHLD};
    if (steps >= NAMESPACES) args.flags = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWNET;
    if (user && steps >= NAMESPACES) args.flags |= CLONE_NEWUSER;
    if (into >= 0) args.flags |= CLONE_INTO_CGROUP, args.cgroup = into;
    if (!steps) user = NULL;
    pid_t pid = syscall(SYS_clone3, &args, sizeof args);
    TRY(pid);
    if (!pid && !steps) execl(program, "true", NULL), die("execl");
    if (!pid) child(pipes[0], joins, join_count);
    if (user) {
        map_ids(pid);
        if (write(pipes[1], "g", 1) != 1) die("write");
    }
    TRY(waitpid(pid, &status, 0));
    for (int i = 0; i < group_count; i++) TRY(rmdir(groups[i]));
    if (steps >= ROOTFS) remove_state();
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

//! The root that an agent of grade A sees: programs and libraries, a small `/etc`, what it was granted, room for scratch.
//!
//! ```text
//! /usr /bin /sbin /lib*      the node's, read-only
//! /etc                       made up, but for the loader's cache, alternatives, the time zone and certificates
//! /dev                       null zero full random urandom
//! /proc                      of this pid namespace, read-only
//! /tmp                       empty, limited in bytes and files
//! /run/steward/steward       this executable
//! what was granted           read-only
//! ```
//!
//! Built on a new tmpfs, entered by `pivot_root`; the node's root is detached, and is not reachable by any path after that.
//!
//! Deliberately absent: `/sys`, `/var`, `/opt`, `/srv`, and users' folders: what is needed from there is mounted by name.

use std::{
    fs,
    io::ErrorKind,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use rustix::{
    mount::{
        MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind, mount_bind_recursive, mount_change,
        mount_remount, unmount,
    },
    process::pivot_root,
};

use crate::{
    inside::stage::{Problem, doing},
    plan::{Granted, INSIDE_HELPER, Plan},
};

/// The user and group that the agent is inside, outside the node's own.
pub(super) const INSIDE_ID: u32 = 1000;

/// Folders of programs and libraries: on merged systems all but the first are links into it.
const PROGRAMS: [&str; 7] = ["usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32"];

/// What of the node's `/etc` is seen: what the loader and programs read at their start. None of it is secret.
const OF_ETC: [&str; 6] =
    ["ld.so.cache", "alternatives", "localtime", "ssl/certs", "ssl/openssl.cnf", "ca-certificates"];

/// What is made up.
const MADE_UP: [(&str, &str); 5] = [
    (
        "passwd",
        "root:x:0:0:root:/:/usr/sbin/nologin\nagent:x:1000:1000:agent:/tmp:/bin/sh\nnobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n",
    ),
    ("group", "root:x:0:\nagent:x:1000:\nnogroup:x:65534:\n"),
    ("hosts", "127.0.0.1 localhost\n::1 localhost\n127.0.1.1 agent\n"),
    ("hostname", "agent\n"),
    ("nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n"),
];

/// Devices that are harmless.
const DEVICES: [&str; 5] = ["null", "zero", "full", "random", "urandom"];

/// What of `/proc` concerns the machine and not the sandbox, and could be read by its owner.
const HIDDEN: [&str; 6] = ["kcore", "keys", "key-users", "sysrq-trigger", "timer_list", "kpagecount"];

/// The new root while it is being built, and where the node's is then.
const NEW: &str = "/new";
const NODE: &str = "/node";

/// How many files `/tmp` may hold per MiB of it: at an average of 4 KiB, and at least [`MIN_INODES`].
const INODES_PER_MIB: u64 = 256;
const MIN_INODES: u64 = 1024;

/// Neither set-user-id programs nor devices.
const PLAIN: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV);

/// Builds the root of this mount namespace and enters it. Returns what could not be had.
pub(super) fn build(plan: &Plan) -> Result<Vec<String>, Problem> {
    stand_beside_the_node()?;
    let new = Path::new(NEW);
    mount_tmpfs(new, "size=16m,nr_inodes=4096,mode=0755")?;
    for name in PROGRAMS {
        bind_programs(name)?;
    }
    build_etc(&new.join("etc"))?;
    build_dev(&new.join("dev"))?;
    let without = mount_proc(&new.join("proc"))?;
    make(&new.join("run/steward"))?;
    let helper = Granted { from: plan.helper.clone(), at: INSIDE_HELPER.to_owned(), executable: true, writable: false };
    for granted in plan.mounts.iter().chain([&helper]) {
        bind_granted(granted)?;
    }
    let (bytes, tmp) = (plan.limits.scratch_bytes.max(4096), new.join("tmp"));
    let inodes = (bytes / (1024 * 1024) * INODES_PER_MIB).max(MIN_INODES);
    make(&tmp)?;
    mount_tmpfs(&tmp, &format!("size={bytes},nr_inodes={inodes},mode=0700"))?;
    let flags = MountFlags::BIND | MountFlags::RDONLY | PLAIN;
    mount_remount(new, flags, c"").map_err(doing("make the root read-only"))?;
    enter(new)?;
    Ok(without)
}

/// Makes a root of two folders: that of the node, and that which is to be built. So nothing of the new covers the node's.
fn stand_beside_the_node() -> Result<(), Problem> {
    mount_change("/", MountPropagationFlags::REC | MountPropagationFlags::PRIVATE)
        .map_err(doing("keep mounts to the sandbox"))?;
    let base = ["/tmp", "/run", "/var", "/usr"].into_iter().find(|path| Path::new(path).is_dir()).unwrap_or("/");
    let base = Path::new(base);
    mount_tmpfs(base, "size=1m,nr_inodes=16,mode=0755")?;
    make(&base.join(&NEW[1..]))?;
    let node = base.join(&NODE[1..]);
    make(&node)?;
    pivot_root(base, &node).map_err(doing("leave the node's root"))?;
    std::env::set_current_dir("/").map_err(doing("leave the node's root"))
}

/// Makes `new` the root, and the node's unreachable.
fn enter(new: &Path) -> Result<(), Problem> {
    std::env::set_current_dir(new).map_err(doing("enter the new root"))?;
    pivot_root(".", ".").map_err(doing("enter the new root"))?;
    unmount(".", UnmountFlags::DETACH).map_err(doing("detach the node's root"))?;
    std::env::set_current_dir("/").map_err(doing("enter the new root"))
}

/// A folder of programs: a link as it is, a folder as a mount, nothing if there is none.
fn bind_programs(name: &str) -> Result<(), Problem> {
    let (from, to) = (Path::new(NODE).join(name), Path::new(NEW).join(name));
    match fs::symlink_metadata(&from) {
        Ok(meta) if meta.is_symlink() => {
            let target = fs::read_link(&from).map_err(doing(format_args!("read the link /{name}")))?;
            symlink(target, &to).map_err(doing(format_args!("make the link /{name}")))
        }
        Ok(_) => bind(&from, &to, PLAIN),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(doing(format_args!("look at /{name}"))(error)),
    }
}

fn build_etc(etc: &Path) -> Result<(), Problem> {
    make(etc)?;
    for (name, text) in MADE_UP {
        fs::write(etc.join(name), text).map_err(doing(format_args!("write /etc/{name}")))?;
    }
    for name in OF_ETC {
        let (from, to) = (Path::new(NODE).join("etc").join(name), etc.join(name));
        match fs::symlink_metadata(&from) {
            Ok(meta) if meta.is_symlink() => {
                make(to.parent().unwrap_or(etc))?;
                let target = fs::read_link(&from).map_err(doing(format_args!("read the link /etc/{name}")))?;
                symlink(target, &to).map_err(doing(format_args!("make the link /etc/{name}")))?;
            }
            Ok(_) => bind(&from, &to, PLAIN | MountFlags::NOEXEC)?,
            // Not every system has all of them, and not every node may look.
            Err(_) => {}
        }
    }
    Ok(())
}

fn build_dev(dev: &Path) -> Result<(), Problem> {
    make(dev)?;
    for name in DEVICES {
        bind(&Path::new(NODE).join("dev").join(name), &dev.join(name), MountFlags::NOSUID | MountFlags::NOEXEC)?;
    }
    for (link, target) in [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
        // Semaphores and shared memory of a runtime count as scratch.
        ("shm", "/tmp"),
    ] {
        symlink(target, dev.join(link)).map_err(doing(format_args!("make the link /dev/{link}")))?;
    }
    Ok(())
}

/// Mounts `/proc`, read-only: without that, what in `/proc/sys` belongs to the user of the node could be written by it.
fn mount_proc(proc: &Path) -> Result<Vec<String>, Problem> {
    make(proc)?;
    let flags = PLAIN | MountFlags::NOEXEC | MountFlags::RDONLY;
    match mount(c"proc", proc, c"proc", flags, c"") {
        Ok(()) => {
            for name in HIDDEN {
                let hidden = proc.join(name);
                if hidden.exists() {
                    bind_onto(&Path::new(NODE).join("dev/null"), &hidden, MountFlags::NOSUID | MountFlags::NOEXEC)?;
                }
            }
            Ok(Vec::new())
        }
        // In a container that hides parts of its own `/proc`, the kernel shows no other that would not.
        Err(rustix::io::Errno::PERM) => {
            mount(c"none", proc, c"tmpfs", flags, c"size=4k,mode=0555").map_err(doing("mount an empty /proc"))?;
            Ok(vec!["/proc: what runs this node hides parts of its own".to_owned()])
        }
        Err(errno) => Err(doing("mount /proc")(errno)),
    }
}

fn bind_granted(granted: &Granted) -> Result<(), Problem> {
    let from = granted.from.strip_prefix("/").map_err(doing("mount what is granted"))?;
    let to = Path::new(NEW).join(&granted.at[1..]);
    let flags = if granted.executable { PLAIN } else { PLAIN | MountFlags::NOEXEC };
    let from = Path::new(NODE).join(from);
    if granted.writable { bind_writable(&from, &to, flags) } else { bind(&from, &to, flags) }
}

/// The same, to be written: one folder, of which the flags are set, and of what is mounted below it nothing.
fn bind_writable(from: &Path, to: &Path, flags: MountFlags) -> Result<(), Problem> {
    let shown = shown(to);
    make(to)?;
    mount_bind(from, to).map_err(doing(format_args!("mount /{shown}")))?;
    mount_remount(to, MountFlags::BIND | flags, c"").map_err(doing(format_args!("mount /{shown}")))
}

/// Shows `from` at `to`, which is made, read-only and with `flags`, and so whatever is mounted below it.
fn bind(from: &Path, to: &Path, flags: MountFlags) -> Result<(), Problem> {
    let made = (|| {
        if fs::metadata(from)?.is_dir() {
            return fs::create_dir_all(to);
        }
        to.parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::write(to, "")
    })();
    made.map_err(doing(format_args!("make room for /{}", shown(to))))?;
    bind_onto(from, to, flags)
}

/// The same, where something is already.
fn bind_onto(from: &Path, to: &Path, flags: MountFlags) -> Result<(), Problem> {
    let shown = shown(to);
    mount_bind_recursive(from, to).map_err(doing(format_args!("mount /{shown}")))?;
    let table =
        fs::read_to_string(Path::new(NODE).join("proc/self/mountinfo")).map_err(doing("read what is mounted"))?;
    let mounts = mounted_at(&table, to);
    for (at, held) in &mounts {
        let flags = MountFlags::BIND | MountFlags::RDONLY | flags | *held;
        mount_remount(at, flags, c"").map_err(doing(format_args!("make /{shown} read-only")))?;
    }
    // Without this, a table of another form would leave it writable.
    if mounts.is_empty() { Err(Problem::Failed(format!("/{shown} is not among what is mounted"))) } else { Ok(()) }
}

/// A place in the new root, as it will be seen.
fn shown(to: &Path) -> String {
    to.strip_prefix(NEW).unwrap_or(to).display().to_string()
}

/// The mounts at and below `top`, with the flags that they have and that cannot be taken from them.
fn mounted_at(table: &str, top: &Path) -> Vec<(PathBuf, MountFlags)> {
    let lines = table.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(4);
        Some((PathBuf::from(unescaped(fields.next()?)), fields.next()?))
    });
    lines
        .filter(|(at, _)| at.starts_with(top))
        .map(|(at, options)| {
            let held = options.split(',').fold(MountFlags::empty(), |held, option| {
                held | match option {
                    "nosuid" => MountFlags::NOSUID,
                    "nodev" => MountFlags::NODEV,
                    "noexec" => MountFlags::NOEXEC,
                    "noatime" => MountFlags::NOATIME,
                    "nodiratime" => MountFlags::NODIRATIME,
                    "relatime" => MountFlags::RELATIME,
                    _ => MountFlags::empty(),
                }
            });
            (at, held)
        })
        .collect()
}

/// A path as the table of mounts writes it: spaces, tabs, line breaks and backslashes as three octal digits.
fn unescaped(text: &str) -> String {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..3).filter(|d| *first == b'\\' && d.iter().all(|d| (b'0'..=b'7').contains(d)));
        let code = digits.and_then(|d| u8::from_str_radix(str::from_utf8(d).ok()?, 8).ok());
        out.push(code.unwrap_or(*first));
        rest = if code.is_some() { &after[3..] } else { after };
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn make(folder: &Path) -> Result<(), Problem> {
    fs::create_dir_all(folder).map_err(doing(format_args!("make {}", folder.display())))
}

fn mount_tmpfs(at: &Path, options: &str) -> Result<(), Problem> {
    let options = std::ffi::CString::new(options).map_err(doing("mount a tmpfs"))?;
    mount(c"steward", at, c"tmpfs", PLAIN, options.as_c_str())
        .map_err(doing(format_args!("mount a tmpfs at {}", at.display())))
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use rustix::mount::MountFlags;

    use super::{mounted_at, unescaped};

    #[test]
    fn mounts_below_are_found_with_their_flags() {
        let table = "22 27 0:21 / /new/a rw,relatime - proc proc rw\n\
                     23 27 0:22 /x /new/a/b\\040c ro,nosuid,nodev,noatime shared:1 - ext4 /dev/x rw\n\
                     24 27 0:22 /x /new/ab rw - ext4 /dev/x rw\n\
                     broken\n";
        assert_eq!(
            mounted_at(table, Path::new("/new/a")),
            [
                (PathBuf::from("/new/a"), MountFlags::RELATIME),
                (PathBuf::from("/new/a/b c"), MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOATIME),
            ]
        );
    }

    #[test]
    fn a_path_is_read_as_the_kernel_writes_it() {
        for (written, path) in
            [("/a\\040b", "/a b"), ("/a\\134040", "/a\\040"), ("/a\\9", "/a\\9"), ("/\\0", "/\\0"), ("", "")]
        {
            assert_eq!(unescaped(written), path);
        }
    }
}

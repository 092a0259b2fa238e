//! A small shell beside each server that outlives the owner: whatever ends the owner — an exit without unwinding, an
//! abort, SIGKILL —, the guard stops the server and removes its files. Should the guard be killed as well, the next
//! sweep does the same.

use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};

use super::Owner;
use super::error::SandboxError;
use super::folder::Folder;

/// Arguments: the folder; the process whose end to wait for, or nothing to wait for the end of standard input.
/// Standard output is the locked marker file, held so that no sweep takes the folder meanwhile.
const SCRIPT: &str = r#"
dir=$1
if [ -n "$2" ]; then
    while kill -0 "$2"; do sleep 1 >/dev/null; done
else
    while read -r line; do :; done
fi
pid=$(head -n 1 "$dir/data/postmaster.pid")
if [ -n "$pid" ]; then
    if [ -e /proc/self/cwd ]; then
        [ "$(readlink "/proc/$pid/cwd")" = "$dir/data" ] && kill -QUIT "$pid"
    else
        ps -o args= -p "$pid" | grep -qF "$dir/data" && kill -QUIT "$pid"
    fi
fi
for try in 1 2 3 4 5; do
    rm -rf "$dir/data" && rm -rf "$dir" && [ ! -e "$dir" ] && exit 0
    sleep 1
done
"#;

/// A running guard.
#[derive(Debug)]
pub(super) struct Guard {
    child: Child,
    /// Open as long as the owner lives.
    alive: Option<ChildStdin>,
}

impl Guard {
    /// Starts watching over `folder`.
    pub(super) fn start(folder: &Folder, owner: Owner, search_path: &str) -> Result<Self, SandboxError> {
        let lock = folder.lock_handle().map_err(SandboxError::io("hand the lock to the guard"))?;
        let (process, input) = match owner {
            Owner::ThisProcess => (String::new(), Stdio::piped()),
            Owner::Process(pid) => (pid.to_string(), Stdio::null()),
        };
        let mut child = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "cutover-sandbox-guard"])
            .arg(folder.path())
            .arg(process)
            .current_dir("/")
            .env_clear()
            .env("PATH", format!("/usr/bin:/bin:{search_path}"))
            .env("LC_ALL", "C")
            .stdin(input)
            .stdout(Stdio::from(lock))
            .stderr(Stdio::null())
            // Not in the terminal's foreground group: Ctrl-C is the owner's to handle.
            .process_group(0)
            .spawn()
            .map_err(SandboxError::io("start /bin/sh as a guard"))?;
        let alive = child.stdin.take();
        Ok(Self { child, alive })
    }

    /// Process id of the shell.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Lets the guard go, after the folder is gone.
    pub(super) fn dismiss(&mut self) {
        drop(self.alive.take());
        let _ = self.child.wait();
    }
}

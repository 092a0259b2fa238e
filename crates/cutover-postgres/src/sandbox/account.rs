//! Which operating system user the server runs as. PostgreSQL refuses root; everyone else runs it as oneself.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use super::error::SandboxError;

const PASSWD: &str = "/etc/passwd";
/// Ordinary users that exist on most machines. The server needs a user that is in passwd.
const USUAL: [&str; 3] = ["postgres", "_postgres", "nobody"];

/// The user that `initdb` and `postgres` run as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Whether that is another user than this process's.
    switched: bool,
}

impl Account {
    /// The user to run as: oneself, or as root `wanted`, else the first usual one that exists.
    pub(super) fn choose(wanted: Option<&str>) -> Result<Self, SandboxError> {
        let uid = rustix::process::geteuid().as_raw();
        if uid != 0 {
            return Ok(Self { uid, gid: rustix::process::getegid().as_raw(), switched: false });
        }
        let tried: Vec<&str> = wanted.map_or_else(|| USUAL.to_vec(), |name| vec![name]);
        let passwd = fs::read_to_string(PASSWD).map_err(SandboxError::io(format!("read {PASSWD}")))?;
        tried
            .iter()
            .find_map(|name| lookup(&passwd, name))
            .map(|(uid, gid)| Self { uid, gid, switched: true })
            .ok_or_else(|| SandboxError::NoAccount { tried: tried.iter().map(ToString::to_string).collect() })
    }

    /// Makes `command` run as this user, without the groups of root.
    pub(super) fn apply(self, command: &mut Command) {
        if self.switched {
            // Setting the user as root also clears the supplementary groups.
            command.gid(self.gid).uid(self.uid);
        }
    }

    /// Hands a path over to this user.
    pub(super) fn own(self, path: &Path) -> Result<(), SandboxError> {
        if !self.switched {
            return Ok(());
        }
        std::os::unix::fs::lchown(path, Some(self.uid), Some(self.gid)).map_err(SandboxError::io(format!(
            "hand {} to user {}",
            path.display(),
            self.uid
        )))
    }

    /// Lets this user's group pass through `folder`, which stays root's.
    pub(super) fn admit(self, folder: &Path) -> Result<(), SandboxError> {
        use std::os::unix::fs::PermissionsExt;
        if !self.switched {
            return Ok(());
        }
        std::os::unix::fs::lchown(folder, None, Some(self.gid))
            .and_then(|()| fs::set_permissions(folder, fs::Permissions::from_mode(0o710)))
            .map_err(SandboxError::io(format!("open {} to user {}", folder.display(), self.uid)))
    }

    /// Whether this user, where it is another than this process's, may pass through `folder` (a canonical path) and
    /// everything above it.
    pub(super) fn can_reach(self, folder: &Path) -> bool {
        use std::os::unix::fs::MetadataExt;
        !self.switched
            || folder.ancestors().all(|part| {
                fs::metadata(part).is_ok_and(|meta| {
                    let bit = if meta.uid() == self.uid {
                        0o100
                    } else if meta.gid() == self.gid {
                        0o010
                    } else {
                        0o001
                    };
                    meta.mode() & bit != 0
                })
            })
    }
}

/// User and group id of a user that is not root.
fn lookup(passwd: &str, name: &str) -> Option<(u32, u32)> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next()? == name).then_some(())?;
        let uid = id(fields.nth(1)?)?;
        Some((uid, id(fields.next()?)?)).filter(|(uid, _)| *uid != 0)
    })
}

/// Some systems write the ids of `nobody` as negative numbers.
fn id(text: &str) -> Option<u32> {
    text.parse::<u32>().ok().or_else(|| text.parse::<i32>().ok().map(i32::cast_unsigned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_from_passwd_and_root_is_never_taken() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nnobody:*:-2:-2:Nobody:/:/bin/false\npostgres:x:105:111::/:/bin/sh\n";
        assert_eq!(lookup(passwd, "postgres"), Some((105, 111)));
        assert_eq!(lookup(passwd, "nobody"), Some((u32::MAX - 1, u32::MAX - 1)));
        assert_eq!(lookup(passwd, "root"), None);
        assert_eq!(lookup(passwd, "post"), None);
    }
}

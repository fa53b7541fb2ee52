//! The names of all commands of Docker 28, so that one that isn't built is not called unknown.

/// Commands of one word; `docker --help`, with the names of old and of the usual plugins.
const COMMANDS: &str = "attach bake build buildx commit compose cp create deploy diff events exec export \
    history images import info init inspect kill load login logout logs pause port ps pull push rename \
    restart rm rmi run save search start stats stop tag top unpause update version wait";

/// Management commands: the group, then its members with their aliases.
const GROUPS: [(&str, &str); 17] = [
    ("builder", "build prune"),
    ("checkpoint", "create ls list rm remove"),
    (
        "container",
        "attach commit cp create diff exec export inspect kill logs ls list ps pause port prune rename \
         restart rm remove run start stats stop top unpause update wait",
    ),
    ("context", "create export import inspect ls list rm remove show update use"),
    ("image", "build history import inspect load ls list prune pull push rm remove save tag"),
    ("manifest", "annotate create inspect push rm"),
    ("network", "connect create disconnect inspect ls list prune rm remove"),
    ("plugin", "create disable enable inspect install ls list push rm remove set upgrade"),
    ("system", "df dial-stdio events info prune"),
    ("trust", "key signer inspect revoke sign"),
    ("volume", "create inspect ls list prune rm remove update"),
    ("config", "create inspect ls list rm remove"),
    ("node", "demote inspect ls list promote ps rm remove update"),
    ("secret", "create inspect ls list rm remove"),
    ("service", "create inspect logs ls list ps rm remove rollback scale update"),
    ("stack", "config deploy up ls list ps rm remove down services"),
    ("swarm", "ca init join join-token leave unlock unlock-key update"),
];

/// Whether Docker has a command of this name.
pub(super) fn command(name: &str) -> bool {
    COMMANDS.split_whitespace().any(|known| known == name)
}

/// The members of a management command.
pub(super) fn group(name: &str) -> Option<&'static str> {
    GROUPS.iter().find(|(group, _)| *group == name).map(|(_, members)| *members)
}

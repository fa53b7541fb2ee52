//! Networks. The engine has none of its own yet; the conditions are those of chapter 5.

use super::{Condition, Facts, Need};

#[rustfmt::skip] // a row: what it stops, which failed calls it explains, by what it is recognised
pub(super) const ALL: &[Condition] = &[
    Condition { id: "no-tun", needs: &[Need::Network], calls: "",
        holds: |f| plain(f).and_then(|()| f.refused("/dev/net/tun")).map(|r| r.call.clone()) },
    Condition { id: "no-pasta", needs: &[Need::Network], calls: "",
        holds: |f| {
            let there = ["/usr/bin/pasta", "/usr/bin/slirp4netns"].iter().any(|program| f.is_there(program));
            plain(f).filter(|()| !there).map(|()| "neither is in /usr/bin".to_owned())
        } },
    Condition { id: "no-nftables", needs: &[Need::Network], calls: "",
        holds: |f| { (f.nftables == Some(false)).then(|| "nf_tables is not loaded, and /lib/modules has none".to_owned()) } },
    Condition { id: "no-forwarding", needs: &[Need::Network], calls: "",
        holds: |f| {
            let off = f.asker.rootful && f.number("/proc/sys/net/ipv4/ip_forward") == Some(0);
            f.refused("/proc/sys/net/ipv4/ip_forward").filter(|_| off).map(|r| r.call.clone())
        } },
];

fn plain(f: &Facts) -> Option<()> {
    f.is_plain().then_some(())
}

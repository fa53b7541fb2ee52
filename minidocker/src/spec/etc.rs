//! The three files of `/etc` that belong to the container and not to its image.
//!
//! Docker writes them beside the container's record and binds them over the image's, so that
//! they never become part of a layer (moby `libnetwork/etchosts`, `libnetwork/resolvconf`).

use super::NetworkMode;

/// Name servers for a container whose host has none of use (moby, `resolvconf.go`).
const PUBLIC_DNS: [&str; 2] = ["8.8.8.8", "8.8.4.4"];

/// `/etc/hostname`: the name and a line end.
#[must_use]
pub fn hostname(name: &str) -> String {
    format!("{name}\n")
}

/// `/etc/hosts`. With the host's network it is the host's own (`host`), as in Docker.
#[must_use]
pub fn hosts(network: NetworkMode, host: Option<&str>) -> String {
    match (network, host) {
        (NetworkMode::Host, Some(text)) => text.to_owned(),
        _ => "127.0.0.1\tlocalhost\n\
              ::1\tlocalhost ip6-localhost ip6-loopback\n\
              fe00::\tip6-localnet\n\
              ff00::\tip6-mcastprefix\n\
              ff02::1\tip6-allnodes\n\
              ff02::2\tip6-allrouters\n"
            .to_owned(),
    }
}

/// `/etc/resolv.conf`: the host's text, without the name servers on its loopback where the
/// container has a loopback of its own: nobody answers there.
#[must_use]
pub fn resolv_conf(network: NetworkMode, host: Option<&str>) -> String {
    let host = host.unwrap_or("");
    if network == NetworkMode::Host {
        return host.to_owned();
    }
    let mut text =
        host.lines().filter(|line| !on_loopback(line)).fold(String::new(), |text, line| text + line + "\n");
    if !text.lines().any(|line| name_server(line).is_some()) {
        for server in PUBLIC_DNS {
            text.push_str(&format!("nameserver {server}\n"));
        }
    }
    text
}

fn name_server(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace();
    if words.next() == Some("nameserver") { words.next() } else { None }
}

fn on_loopback(line: &str) -> bool {
    let address = name_server(line).and_then(|text| text.parse::<std::net::IpAddr>().ok());
    address.is_some_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_is_the_hosts_own_only_with_the_hosts_network() {
        assert!(hosts(NetworkMode::None, Some("10.0.0.1 db")).starts_with("127.0.0.1\tlocalhost\n::1\t"));
        assert_eq!(hosts(NetworkMode::Host, Some("10.0.0.1 db")), "10.0.0.1 db");
        assert!(hosts(NetworkMode::Host, None).contains("localhost"));
        assert_eq!(hostname("web"), "web\n");
    }

    #[test]
    fn name_servers_on_the_hosts_loopback_are_left_out() {
        let host =
            "# by hand\nnameserver 127.0.0.53\nsearch a.example\nnameserver 192.0.2.1\nnameserver ::1\n";
        let wanted = "# by hand\nsearch a.example\nnameserver 192.0.2.1\n";
        assert_eq!(resolv_conf(NetworkMode::None, Some(host)), wanted);
        assert_eq!(resolv_conf(NetworkMode::Host, Some(host)), host);
        let stub = "nameserver 127.0.0.53\noptions edns0";
        let wanted = "options edns0\nnameserver 8.8.8.8\nnameserver 8.8.4.4\n";
        assert_eq!(resolv_conf(NetworkMode::None, Some(stub)), wanted);
        assert_eq!(resolv_conf(NetworkMode::None, None), "nameserver 8.8.8.8\nnameserver 8.8.4.4\n");
    }
}

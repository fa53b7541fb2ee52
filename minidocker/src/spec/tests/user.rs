//! Who runs, against passwd, group and the id maps.

use super::*;

#[test]
fn users_are_looked_up_as_in_docker() {
    let table: [(&str, u32, u32, &[u32], &str); 13] = [
        ("", 0, 0, &[0, 4, 10], "/root"),
        ("root", 0, 0, &[0, 4, 10], "/root"),
        ("0", 0, 0, &[0, 4, 10], "/root"),
        ("web", 1000, 1000, &[1000, 4, 50], "/home/web"),
        ("1000", 1000, 1000, &[1000, 4, 50], "/home/web"),
        ("web:staff", 1000, 50, &[50], "/home/web"),
        ("web:77", 1000, 77, &[77], "/home/web"),
        ("web:50", 1000, 50, &[50], "/home/web"),
        ("4242", 4242, 0, &[0], "/"),
        ("4242:4343", 4242, 4343, &[4343], "/"),
        // A number is an id, never the name of the account 42.
        ("42", 42, 0, &[0], "/"),
        (":staff", 0, 50, &[50], "/root"),
        ("nohome", 7, 7, &[7], "/"),
    ];
    for (spec, uid, gid, groups, home) in table {
        let wanted = ContainerUser { uid, gid, groups: groups.to_vec(), home: home.to_owned() };
        assert_eq!(find_user(spec, &facts()), Ok(wanted), "{spec:?}");
    }
}

#[test]
fn unknown_users_are_refused_with_dockers_words() {
    for (spec, words) in [
        ("foo", "unable to find user foo: no matching entries in passwd file"),
        ("foo:staff", "unable to find user foo: no matching entries in passwd file"),
        ("broken", "unable to find user broken: no matching entries in passwd file"),
        ("web:nogroup", "unable to find group nogroup: no matching entries in group file"),
        ("-1", "uids and gids must be in range 0-2147483647"),
        ("2147483648", "uids and gids must be in range 0-2147483647"),
        ("0:-1", "uids and gids must be in range 0-2147483647"),
    ] {
        assert_eq!(find_user(spec, &facts()).unwrap_err().to_string(), words, "{spec:?}");
    }
}

#[test]
fn an_image_without_passwd_has_ids_only() {
    let bare = Facts { passwd: None, group: None, ..facts() };
    let user = |uid, gid| ContainerUser { uid, gid, groups: vec![gid], home: "/".to_owned() };
    assert_eq!(find_user("", &bare), Ok(user(0, 0)));
    assert_eq!(find_user("5:6", &bare), Ok(user(5, 6)));
    assert_eq!(find_user("root", &bare), Err(SpecError::NoUser("root".to_owned())));
}

#[test]
fn an_id_outside_of_the_map_is_refused_before_anything_is_made() {
    let mut request = request();
    request.config.user = "1000".to_owned();
    let refused = build(&ImageDefaults::default(), &request, &rootless(&[1])).unwrap_err();
    assert_eq!(refused.to_string(), "uid 1000 has no place in the container's id map (0)");
    let refused = build(&ImageDefaults::default(), &request, &rootless(&[1, 999])).unwrap_err();
    assert!(refused.to_string().contains("(0, 1-999)"), "{refused}");
    assert!(build(&ImageDefaults::default(), &request, &rootless(&[1, 65536])).is_ok());
}

#[test]
fn supplementary_groups_keep_to_the_gid_map() {
    let groups = |facts: &Facts| {
        let spec = with(facts, |_| {});
        spec.process().as_ref().unwrap().user().additional_gids().clone().unwrap()
    };
    assert_eq!(groups(&facts()), [0, 4, 10]);
    assert_eq!(groups(&rootless(&[1, 65536])), [0, 4, 10]);
    assert_eq!(groups(&rootless(&[1, 5])), [0, 4]);
    assert!(groups(&rootless(&[1])).is_empty(), "setgroups(2) is denied with one id");
}

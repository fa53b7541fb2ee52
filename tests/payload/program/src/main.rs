//! One program of several small ones, as busybox(1) is: the name by which it is called says which.

fn main() {
    println!("hello {:?}", std::env::args_os().next());
}

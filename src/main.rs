//! The command `calltaskd`.

fn main() {}

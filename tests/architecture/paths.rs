//! The modules of the crate that a file names: in `use`, with braces in each other, and in the midst of code.

use super::tokens::{Token, tokens};

/// A top-level module that is named, and the line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mention {
    pub module: String,
    pub line: usize,
}

/// Every top-level module of the crate that the file `path` (like `store/tasks.rs`) names. Also its own, and `*`
/// for all of them at once.
pub fn mentions(path: &str, source: &str) -> Vec<Mention> {
    let tokens = tokens(source);
    let mut walker = Walker { tokens: &tokens, inner: Vec::new(), depth: 0, found: Vec::new() };
    let home = home(path);
    for at in 0..tokens.len() {
        walker.follow_braces(at);
        let module: Vec<String> =
            home.iter().cloned().chain(walker.inner.iter().map(|(name, _)| name.clone())).collect();
        walker.path_at(at, module);
    }
    walker.found
}

/// The module that a file is.
fn home(path: &str) -> Vec<String> {
    let path = path.strip_suffix(".rs").unwrap_or(path);
    let mut module: Vec<String> = path.split('/').map(str::to_owned).collect();
    if module.last().is_some_and(|last| ["mod", "lib", "main"].contains(&last.as_str())) {
        module.pop();
    }
    module
}

struct Walker<'t> {
    tokens: &'t [Token],
    /// The modules within the file that surround the place, and the depth of braces at which each began.
    inner: Vec<(String, usize)>,
    depth: usize,
    found: Vec<Mention>,
}

impl Walker<'_> {
    fn text(&self, at: usize) -> &str {
        self.tokens.get(at).map_or("", |token| &token.text)
    }

    fn follow_braces(&mut self, at: usize) {
        match self.text(at) {
            "{" => {
                if at >= 2 && self.text(at - 2) == "mod" {
                    self.inner.push((self.text(at - 1).to_owned(), self.depth));
                }
                self.depth += 1;
            }
            "}" => {
                self.depth = self.depth.saturating_sub(1);
                self.inner.pop_if(|(_, depth)| *depth == self.depth);
            }
            _ => {}
        }
    }

    /// Reads a path that begins with `crate`, with the crate's name (as `main.rs` writes it), or with `super`.
    fn path_at(&mut self, at: usize, module: Vec<String>) {
        let begins = at < 2 || self.text(at - 1) != ":" || self.text(at - 2) != ":";
        if !begins || !self.is_separator(at + 1) {
            return;
        }
        match self.text(at) {
            "crate" | "calltaskd" => self.tree(at + 3, &[]),
            "super" | "self" => self.tree(at, &module),
            _ => {}
        }
    }

    fn is_separator(&self, at: usize) -> bool {
        self.text(at) == ":" && self.text(at + 1) == ":"
    }

    /// Follows a path from `module`, into each of its braces.
    fn tree(&mut self, at: usize, module: &[String]) {
        match self.text(at) {
            "super" => self.tree(at + 3, &module[..module.len().saturating_sub(1)]),
            "self" if self.is_separator(at + 1) => self.tree(at + 3, module),
            "{" => {
                for branch in self.branches(at) {
                    self.tree(branch, module);
                }
            }
            _ => self.note(at, module),
        }
    }

    /// Where each part of a brace begins.
    fn branches(&self, open: usize) -> Vec<usize> {
        let (mut depth, mut branches) = (0, Vec::new());
        for at in open..self.tokens.len() {
            match self.text(at) {
                "{" => depth += 1,
                "}" => depth -= 1,
                _ => {}
            }
            match (depth, self.text(at)) {
                (0, _) => break,
                (1, "{" | ",") if self.text(at + 1) != "}" => branches.push(at + 1),
                _ => {}
            }
        }
        branches
    }

    fn note(&mut self, at: usize, module: &[String]) {
        let Some(token) = self.tokens.get(at) else {
            return;
        };
        let named =
            module.first().cloned().or_else(|| (token.is_word() || token.text == "*").then(|| token.text.clone()));
        self.found.extend(named.map(|module| Mention { module, line: token.line }));
    }
}

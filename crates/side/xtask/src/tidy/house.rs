//! The house as it stands: its files, its crates, what they import.

use std::{collections::BTreeMap, path::Path, process::Command};

use anyhow::{Context, bail};

use super::source::Source;

/// The largest file that is read, in bytes: more is data, which no rule speaks about.
const MAX_FILE_BYTES: u64 = 4 << 20;

/// The floors, lowest first. `side` is beside them.
pub(crate) const FLOORS: [&str; 6] = ["ground", "core", "edge", "app", "face", "steward"];

/// A crate of the workspace.
#[derive(Debug)]
pub(crate) struct Crate {
    /// Its package's name.
    pub(crate) name: String,
    /// Its folder, from the root.
    pub(crate) folder: String,
    /// `ground`, `core`, `edge`, `app`, `face`, `steward` or `side`.
    pub(crate) floor: String,
    /// Its manifest.
    pub(crate) manifest: toml::Table,
    /// What it is built with.
    pub(crate) dependencies: Vec<String>,
    /// What only its tests are built with.
    pub(crate) dev_dependencies: Vec<String>,
}

impl Crate {
    /// Its folder's own name.
    pub(crate) fn short_name(&self) -> &str {
        self.folder.rsplit('/').next().unwrap_or_default()
    }

    /// Where its manifest is.
    pub(crate) fn manifest_path(&self) -> String {
        format!("{}/Cargo.toml", self.folder)
    }

    /// How high its floor is; `side` has none.
    pub(crate) fn height(&self) -> Option<usize> {
        FLOORS.iter().position(|floor| *floor == self.floor)
    }
}

/// Everything that the rules look at.
#[derive(Debug)]
pub(crate) struct House {
    files: BTreeMap<String, String>,
    crates: Vec<Crate>,
    sources: Vec<Source>,
    workspace: toml::Table,
}

impl House {
    /// Reads the files that git keeps or would take, under `root`.
    pub(crate) fn read(root: &Path) -> anyhow::Result<Self> {
        let listed = Command::new("git")
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .current_dir(root)
            .output()
            .context("git could not be started; tidy asks it which files belong to the tree")?;
        if !listed.status.success() {
            bail!("git does not know this tree: {}", String::from_utf8_lossy(&listed.stderr).trim());
        }
        let mut files = BTreeMap::new();
        for path in String::from_utf8(listed.stdout).context("a path is not UTF-8")?.split_terminator('\0') {
            let full = root.join(path);
            // Deleted and not yet committed, a link, or data.
            let Ok(found) = full.symlink_metadata() else { continue };
            if !found.is_file() || found.len() > MAX_FILE_BYTES {
                continue;
            }
            let bytes = std::fs::read(&full).with_context(|| format!("`{path}` could not be read"))?;
            if let Ok(text) = String::from_utf8(bytes) {
                files.insert(path.to_owned(), text);
            }
        }
        Self::build(files)
    }

    fn build(files: BTreeMap<String, String>) -> anyhow::Result<Self> {
        let mut crates = Vec::new();
        for (path, text) in &files {
            let Some(folder) = path.strip_suffix("/Cargo.toml").filter(|folder| folder.starts_with("crates/")) else {
                continue;
            };
            crates.push(read_crate(folder, text).with_context(|| format!("`{path}` is not a manifest"))?);
        }
        let is_source = |path: &str| path.starts_with("crates/") && path.ends_with(".rs");
        let mut sources: Vec<Source> =
            files.iter().filter(|(path, _)| is_source(path)).map(|(path, text)| Source::new(path, text)).collect();
        let tests: Vec<String> = sources.iter().flat_map(Source::test_modules).collect();
        sources = sources.into_iter().map(|s| if tests.contains(&s.path) { s.into_test() } else { s }).collect();
        let workspace =
            files.get("Cargo.toml").map_or("", String::as_str).parse().context("Cargo.toml is malformed")?;
        Ok(Self { files, crates, sources, workspace })
    }

    /// A house of made-up files.
    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let files = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
        Self::build(files).expect("made-up files are well formed")
    }

    /// Every text file, by path from the root.
    pub(crate) fn files(&self) -> &BTreeMap<String, String> {
        &self.files
    }

    /// Every crate of the workspace.
    pub(crate) fn crates(&self) -> &[Crate] {
        &self.crates
    }

    /// The crate called `name`.
    pub(crate) fn find(&self, name: &str) -> Option<&Crate> {
        self.crates.iter().find(|c| c.name == name)
    }

    /// Every Rust file of the workspace's crates.
    pub(crate) fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// The Rust files of one crate.
    pub(crate) fn sources_of<'a>(&'a self, folder: &'a str) -> impl Iterator<Item = &'a Source> {
        self.sources.iter().filter(move |s| s.path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/')))
    }

    /// The workspace's dependencies: name, and whether it is a crate of ours.
    pub(crate) fn workspace_dependencies(&self) -> Vec<(String, bool)> {
        let table = self.workspace.get("workspace").and_then(|w| w.get("dependencies")).and_then(|d| d.as_table());
        table.into_iter().flatten().map(|(name, spec)| (name.clone(), spec.get("path").is_some())).collect()
    }

    /// The line on which `needle` first stands in a file, or 1.
    pub(crate) fn line_of(&self, path: &str, needle: &str) -> usize {
        let text = self.files.get(path).map_or("", String::as_str);
        text.lines().position(|line| line.contains(needle)).map_or(1, |n| n + 1)
    }
}

fn read_crate(folder: &str, text: &str) -> anyhow::Result<Crate> {
    let manifest: toml::Table = text.parse()?;
    let name = manifest.get("package").and_then(|p| p.get("name")).and_then(|n| n.as_str());
    let floor = folder.split('/').nth(1).unwrap_or_default();
    let mut dependencies = names_in(&manifest, "dependencies");
    dependencies.extend(names_in(&manifest, "build-dependencies"));
    Ok(Crate {
        name: name.context("a package has a name")?.to_owned(),
        folder: folder.to_owned(),
        floor: floor.to_owned(),
        dependencies,
        dev_dependencies: names_in(&manifest, "dev-dependencies"),
        manifest,
    })
}

/// The names in one kind of dependency table, those for one target too.
fn names_in(manifest: &toml::Table, kind: &str) -> Vec<String> {
    let targets =
        manifest.get("target").and_then(|t| t.as_table()).into_iter().flatten().filter_map(|(_, t)| t.get(kind));
    let tables = manifest.get(kind).into_iter().chain(targets);
    tables.filter_map(|t| t.as_table()).flat_map(|t| t.keys().cloned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_is_read_with_all_that_it_imports() {
        let house = House::of(&[(
            "crates/edge/store/Cargo.toml",
            "[package]\nname = \"steward-store\"\n[dependencies]\na = \"1\"\n[target.'cfg(unix)'.dependencies]\nb = \"1\"\n\
             [build-dependencies]\nc = \"1\"\n[dev-dependencies]\nd = \"1\"",
        )]);
        let store = house.find("steward-store").expect("it was read");
        assert_eq!((store.floor.as_str(), store.height(), store.short_name()), ("edge", Some(2), "store"));
        assert_eq!(store.dependencies, ["a", "b", "c"]);
        assert_eq!(store.dev_dependencies, ["d"]);
    }

    #[test]
    fn a_module_of_tests_in_a_file_of_its_own_is_a_test() {
        let house = House::of(&[
            ("crates/core/x/src/lib.rs", "#[cfg(test)]\nmod story;\nmod real;"),
            ("crates/core/x/src/story.rs", "fn f() {}"),
            ("crates/core/x/src/real.rs", "fn f() {}"),
        ]);
        let code = |path: &str| house.sources().iter().find(|s| s.path == path).map(|s| s.code.trim().len());
        assert_eq!(code("crates/core/x/src/story.rs"), Some(0));
        assert_eq!(code("crates/core/x/src/real.rs"), Some(9));
    }
}

//! A generator that a test scripts: a program which makes values and ends them, and keeps a file of each that lives.

use std::{fs, path::PathBuf};

use steward_app_secrets::Generator;
use tempfile::TempDir;

/// What it is: `before` is what a test has it do first.
const PROGRAM: &str = r#"
set -eu
folder=$1
input=$(cat)
field() { printf '%s' "$input" | sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"; }
does=$(field do)
lease=$(field lease)
printf '%s\n' "$input" >> "$folder/told"
value=sk-made-$(head -c 12 /dev/urandom | od -An -tx1 | tr -d ' \n')
make() { printf '%s' "$value" > "$folder/living/$lease"; printf '%s\n' "$value" >> "$folder/ever"; }
end() { rm -f "$folder/living/$lease"; }
if [ -e "$folder/before" ]; then . "$folder/before"; fi
case $does in
  make) make; printf '{"value":"%s","id":"role-%s"}\n' "$value" "$lease" ;;
  end) end ;;
esac
"#;

/// A generator, and what it keeps.
pub(crate) struct Maker {
    folder: TempDir,
}

impl Maker {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("living")).expect("made");
        fs::write(folder.path().join("program"), PROGRAM).expect("written");
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// As an operator configures it, with a second to do its work.
    pub(crate) fn generator(&self) -> Generator {
        let text = |path: PathBuf| path.to_str().expect("text").to_owned();
        Generator {
            name: "roles".parse().expect("a label"),
            command: vec!["/bin/sh".to_owned(), text(self.path("program")), text(self.folder.path().to_owned())],
            secrets: [("MAKER_KEY".to_owned(), "maker".parse().expect("a label"))].into(),
            timeout_s: 20,
        }
    }

    /// The same, with so many seconds.
    pub(crate) fn within(&self, timeout_s: u64) -> Generator {
        Generator { timeout_s, ..self.generator() }
    }

    /// From now on it does this first; `$does` is `make` or `end`.
    pub(crate) fn first(&self, script: &str) {
        fs::write(self.path("before"), script).expect("written");
    }

    /// It works again.
    pub(crate) fn mend(&self) {
        fs::remove_file(self.path("before")).expect("it was broken");
    }

    /// Says that it may go on, where it waits for `$folder/go`.
    pub(crate) fn go(&self) {
        fs::write(self.path("go"), "").expect("written");
    }

    /// Whether it came so far as to write this file.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    /// The values that live.
    pub(crate) fn living(&self) -> Vec<String> {
        let mut files: Vec<_> =
            fs::read_dir(self.path("living")).expect("a folder").map(|file| file.expect("a file").path()).collect();
        files.sort();
        files.iter().map(|file| fs::read_to_string(file).expect("text")).collect()
    }

    /// Every value that it ever made.
    pub(crate) fn ever(&self) -> Vec<String> {
        fs::read_to_string(self.path("ever")).unwrap_or_default().lines().map(str::to_owned).collect()
    }

    /// What it was told, in order.
    pub(crate) fn told(&self) -> Vec<serde_json::Value> {
        let told = fs::read_to_string(self.path("told")).unwrap_or_default();
        told.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    /// How often it was told to do this.
    pub(crate) fn count(&self, what: &str) -> usize {
        self.told().iter().filter(|told| told["do"] == what).count()
    }
}

//! The memory of tree heads: a node that takes something back, or shows others something else, is found out.
//!
//! A [`Watch`] is begun before the node is asked, so that what is remembered is never newer than the answer; then each
//! signed head that the node shows is [`Watch::see`]n.

use steward_caller::Caller;
use steward_ledger::{
    Hash, TreeHead,
    head::{self, HeadError},
    proof::verify_consistency,
};
use steward_seal::{Sealed, note::NoteKey};
use steward_wire::Consistency;

use crate::{
    failure::Failure,
    memory::{LedgerMemory, Memory, NodeMemory},
};

/// How a head stands to the one that is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Nothing was remembered.
    First,
    /// The same.
    Same,
    /// More entries. Whether it continues the remembered one is to be proved.
    Larger,
    /// Fewer entries.
    RolledBack,
    /// As many entries, but others.
    Split,
}

/// How `shown` stands to what is remembered.
pub(crate) fn compare(remembered: Option<&TreeHead>, shown: &TreeHead) -> Standing {
    match remembered {
        None => Standing::First,
        Some(old) if old.size < shown.size => Standing::Larger,
        Some(old) if old.size > shown.size => Standing::RolledBack,
        Some(old) if old.root == shown.root => Standing::Same,
        Some(_) => Standing::Split,
    }
}

/// What is remembered of a ledger, loaded before its node is asked.
#[derive(Debug)]
pub(crate) struct Watch {
    key: NoteKey,
    ledger: LedgerMemory,
    remembered: Option<Sealed<TreeHead>>,
    /// Whether the key was first seen just now.
    pub(crate) is_first: bool,
}

impl Watch {
    /// Loads what is remembered of the node's ledger. At the first meeting, the node is asked for its verifier key, which
    /// is believed and pinned.
    pub(crate) async fn begin(memory: &Memory, node: &NodeMemory, caller: &Caller) -> Result<Self, Failure> {
        if let Some(vkey) = pinned(node)? {
            return Self::with_key(memory, parse(&vkey)?);
        }
        let shown = caller.ledger_vkey().await?.vkey;
        let watch = Self::with_key(memory, parse(&shown)?)?;
        node.keep_vkey(&shown)?;
        Ok(Self { is_first: true, ..watch })
    }

    /// Loads what is remembered of the ledger whose heads `key` signs.
    pub(crate) fn with_key(memory: &Memory, key: NoteKey) -> Result<Self, Failure> {
        let ledger = memory.ledger(key.name());
        if let Some(kept) = ledger.vkey()?
            && kept != key.to_string()
        {
            return Err(other_key(key.name(), &kept, &key.to_string()));
        }
        let remembered = match ledger.note()? {
            None => None,
            Some(note) => Some(open(&note, &key).map_err(|error| {
                let file = ledger.note_file();
                Failure::refused(format!("the tree head remembered in `{}` cannot be used: {error}", file.display()))
                    .hint("it was damaged or replaced; put it back, or ask somebody who keeps one")
            })?),
        };
        Ok(Self { key, ledger, remembered, is_first: false })
    }

    /// The key that signs this ledger's heads.
    pub(crate) fn key(&self) -> &NoteKey {
        &self.key
    }

    /// What is remembered.
    pub(crate) fn remembered(&self) -> Option<&TreeHead> {
        self.remembered.as_ref().map(Sealed::get)
    }

    /// What is remembered, with its seal.
    pub(crate) fn sealed(&self) -> Option<&Sealed<TreeHead>> {
        self.remembered.as_ref()
    }

    /// Sees a head that the node shows: it must be signed by the pinned key, and be or continue what is remembered, which
    /// is asked for and checked if it has grown. Then the larger is remembered.
    pub(crate) async fn see(&self, note: &str, caller: &Caller) -> Result<TreeHead, Failure> {
        let (standing, shown) = self.glance(note)?;
        if let (Standing::Larger, Some(old)) = (standing, self.remembered())
            && old.size > 0
        {
            let proof = caller.consistency(old.size, shown.size).await?;
            if let Err(why) = continues(old, &shown, &proof) {
                return Err(self.split_view(note, &shown, &why));
            }
        }
        self.keep(note, &shown)?;
        Ok(shown)
    }

    /// As [`see`](Self::see), as far as it goes without asking: whether a head that has grown continues what is remembered is
    /// not known yet, and nothing is remembered.
    pub(crate) fn glance(&self, note: &str) -> Result<(Standing, TreeHead), Failure> {
        let shown = self.open(note)?;
        let standing = compare(self.remembered(), &shown);
        self.judge(standing, note, &shown)?;
        Ok((standing, shown))
    }

    /// Opens a head with the pinned key.
    pub(crate) fn open(&self, note: &str) -> Result<TreeHead, Failure> {
        open(note.as_bytes(), &self.key).map(Sealed::into_inner).map_err(|error| {
            Failure::refused(format!("the tree head cannot be trusted: {error}")).hint(format!(
                "the key that was pinned is {}; compare it with one that you have from elsewhere",
                self.key
            ))
        })
    }

    /// Refuses a head that takes something back.
    fn judge(&self, standing: Standing, note: &str, shown: &TreeHead) -> Result<(), Failure> {
        match (standing, self.remembered()) {
            (Standing::RolledBack, Some(old)) => Err(Failure::refused(format!(
                "ROLLED BACK: the ledger `{}` has {} entries, and a signed tree head of {} was seen before",
                shown.origin, shown.size, old.size
            ))
            .hint(format!(
                "entries were taken back, or an old copy is in use; the larger head is kept in `{}`",
                self.ledger.note_file().display()
            ))),
            (Standing::Split, _) => Err(self.split_view(note, shown, "both have as many entries, and other ones")),
            _ => Ok(()),
        }
    }

    /// Remembers a head that was found good, if it is larger than what is remembered by now.
    pub(crate) fn keep(&self, note: &str, head: &TreeHead) -> Result<(), Failure> {
        self.ledger.keep(note.as_bytes(), &self.key.to_string(), |kept| {
            let kept = kept.and_then(|note| open(note, &self.key).ok());
            matches!(compare(kept.as_ref().map(Sealed::get), head), Standing::First | Standing::Larger)
        })
    }

    fn split_view(&self, note: &str, shown: &TreeHead, why: &str) -> Failure {
        let message = format!(
            "SPLIT VIEW: the ledger `{}` shows a tree head of {} entries that does not continue the one of {} seen before: {why}",
            shown.origin,
            shown.size,
            self.remembered().map_or(0, |old| old.size)
        );
        match self.ledger.keep_evidence(note.as_bytes(), shown.size) {
            Ok(evidence) => Failure::refused(message).hint(format!(
                "history was rewritten, and the node signed both: keep `{}` and `{}`, which prove it",
                self.ledger.note_file().display(),
                evidence.display()
            )),
            Err(unkept) => Failure::refused(message).details(vec![unkept.message]),
        }
    }
}

/// The verifier key that is pinned for a node.
pub(crate) fn pinned(node: &NodeMemory) -> Result<Option<String>, Failure> {
    match node.credential()? {
        Some(credential) => Ok(Some(credential.vkey)),
        None => node.vkey(),
    }
}

/// Reads a verifier key.
pub(crate) fn parse(vkey: &str) -> Result<NoteKey, Failure> {
    vkey.trim().parse().map_err(Failure::refused)
}

/// A ledger, or a node, that has another key than before.
pub(crate) fn other_key(origin: &str, pinned: &str, shown: &str) -> Failure {
    Failure::refused(format!("ANOTHER KEY: the tree heads of `{origin}` are signed with another key than before"))
        .details(vec![format!("pinned: {pinned}"), format!("shown:  {shown}")])
        .hint("ask its operator; if the node was truly made anew, `steward login --forget` puts the old memory aside")
}

fn open(note: &[u8], key: &NoteKey) -> Result<Sealed<TreeHead>, HeadError> {
    head::open(note, key, key.name())
}

/// Whether `proof` shows that `new` continues `old`; the roots are those of the heads, not those that the proof says.
pub(crate) fn continues(old: &TreeHead, new: &TreeHead, proof: &Consistency) -> Result<(), String> {
    let hashes: Option<Vec<Hash>> = proof.hashes.iter().map(|hash| Hash::from_base64(hash)).collect();
    let hashes = hashes.ok_or("the proof of consistency holds something that is no hash")?;
    verify_consistency(old.size, new.size, &old.root, &new.root, &hashes).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use steward_ledger::TreeHead;

    use super::{Standing, Watch, compare};
    use crate::{
        failure::{Exit, Failure},
        memory::Memory,
        testing::{FakeNode, Ledger},
    };

    struct Story {
        folder: tempfile::TempDir,
        node: FakeNode,
    }

    impl Story {
        async fn of(ledger: Ledger) -> Self {
            Self { folder: tempfile::tempdir().unwrap(), node: FakeNode::showing(ledger).await }
        }

        fn memory(&self) -> Memory {
            Memory::at(self.folder.path().to_owned())
        }

        /// What every command does: looks at the memory, then at the node's head.
        async fn look(&self) -> Result<TreeHead, Failure> {
            let caller = self.node.caller();
            let watch = Watch::begin(&self.memory(), &self.memory().node("home"), &caller).await?;
            let head = caller.ledger_head().await?;
            watch.see(&head.note, &caller).await
        }

        fn remembered(&self) -> u64 {
            let note = self.memory().ledger("acme.internal").note().unwrap().unwrap();
            String::from_utf8(note).unwrap().lines().nth(1).unwrap().parse().unwrap()
        }
    }

    #[tokio::test]
    async fn a_growing_ledger_is_followed() {
        let story = Story::of(Ledger::of(3)).await;
        assert_eq!(story.look().await.unwrap().size, 3);
        assert_eq!(story.remembered(), 3);
        assert_eq!(story.node.asked(), ["vkey", "head"], "at the first meeting the key is asked for");
        story.look().await.unwrap();
        assert_eq!(story.node.asked(), ["head"], "the same head needs no proof");
        story.node.show(Ledger::of(10));
        assert_eq!(story.look().await.unwrap().size, 10);
        assert_eq!(story.remembered(), 10);
        assert_eq!(story.node.asked(), ["head", "consistency"], "one request more if it has grown");
    }

    #[tokio::test]
    async fn a_ledger_that_takes_back_is_found_out() {
        let story = Story::of(Ledger::of(10)).await;
        story.look().await.unwrap();
        story.node.show(Ledger::of(9));
        for _ in 0..2 {
            let failure = story.look().await.unwrap_err();
            assert_eq!(failure.exit, Exit::Refused);
            assert!(failure.message.starts_with("ROLLED BACK"), "{}", failure.message);
        }
        assert_eq!(story.remembered(), 10, "the larger head is kept");
        story.node.show(Ledger::of(11));
        assert_eq!(story.look().await.unwrap().size, 11);
    }

    #[tokio::test]
    async fn another_history_is_found_out_and_kept_as_evidence() {
        let story = Story::of(Ledger::of(10)).await;
        story.look().await.unwrap();
        for rewritten in
            [Ledger::of(10).rewritten_at(4), Ledger::of(17).rewritten_at(4), Ledger::of(17).rewritten_at(9)]
        {
            let size = rewritten.size();
            story.node.show(rewritten);
            let failure = story.look().await.unwrap_err();
            assert_eq!(failure.exit, Exit::Refused);
            assert!(failure.message.starts_with("SPLIT VIEW"), "{}", failure.message);
            let evidence = format!(".split-{size}.note");
            let kept = std::fs::read_dir(story.folder.path().join("heads")).unwrap();
            assert!(kept.map(|f| f.unwrap().file_name()).any(|f| f.to_str().unwrap().ends_with(&evidence)));
            assert!(failure.hint.unwrap().contains(&evidence));
        }
        assert_eq!(story.remembered(), 10);
        // An entry after the remembered ones may be anything.
        story.node.show(Ledger::of(17).rewritten_at(10));
        assert_eq!(story.look().await.unwrap().size, 17);
    }

    #[tokio::test]
    async fn another_key_is_not_believed() {
        let story = Story::of(Ledger::of(3)).await;
        story.look().await.unwrap();
        story.node.show(Ledger::of(3).signed_by(9));
        let failure = story.look().await.unwrap_err();
        assert_eq!(failure.exit, Exit::Refused);
        assert!(failure.message.contains("cannot be trusted"), "{}", failure.message);
        // Nor where the node is not known yet, but its ledger is.
        let caller = story.node.caller();
        let failure = Watch::begin(&story.memory(), &story.memory().node("elsewhere"), &caller).await.unwrap_err();
        assert!(failure.message.starts_with("ANOTHER KEY"), "{}", failure.message);
    }

    #[tokio::test]
    async fn an_empty_ledger_is_the_beginning_of_every_one() {
        let story = Story::of(Ledger::of(0)).await;
        story.look().await.unwrap();
        story.node.show(Ledger::of(1));
        assert_eq!(story.look().await.unwrap().size, 1);
    }

    #[tokio::test]
    async fn a_damaged_memory_is_not_passed_over() {
        let story = Story::of(Ledger::of(3)).await;
        story.look().await.unwrap();
        let file = story.memory().ledger("acme.internal").note_file();
        std::fs::write(&file, Ledger::of(1).signed_by(9).note()).unwrap();
        let failure = story.look().await.unwrap_err();
        assert!(failure.message.contains(file.to_str().unwrap()), "{}", failure.message);
    }

    #[test]
    fn heads_are_compared_by_size_and_root() {
        let head = |size| Ledger::of(size).head();
        let other = Ledger::of(4).rewritten_at(0).head();
        for (remembered, shown, standing) in [
            (None, head(4), Standing::First),
            (Some(head(4)), head(4), Standing::Same),
            (Some(head(4)), head(5), Standing::Larger),
            (Some(head(4)), head(3), Standing::RolledBack),
            (Some(head(4)), head(0), Standing::RolledBack),
            (Some(head(4)), other, Standing::Split),
        ] {
            assert_eq!(compare(remembered.as_ref(), &shown), standing);
        }
    }
}

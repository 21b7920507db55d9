//! Proofs against RFC 6962's own recursive definitions, and lies.

use proptest::prelude::*;

use super::{PathError, ProveError, prove_consistency, prove_inclusion, verify_consistency, verify_inclusion};
use crate::{
    edge::tests::{Log, naive_root},
    hash::{EMPTY_ROOT, Hash, leaf_hash},
};

/// RFC 6962, section 2.1.1, word for word.
fn naive_path(seq: usize, leaves: &[Hash]) -> Vec<Hash> {
    if leaves.len() == 1 {
        return Vec::new();
    }
    let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
    let (mut path, sibling) = if seq < left.len() {
        (naive_path(seq, left), naive_root(right))
    } else {
        (naive_path(seq - left.len(), right), naive_root(left))
    };
    path.push(sibling);
    path
}

/// RFC 6962, section 2.1.2, word for word.
fn naive_consistency(old: usize, leaves: &[Hash], whole: bool) -> Vec<Hash> {
    if old == leaves.len() {
        return if whole { Vec::new() } else { vec![naive_root(leaves)] };
    }
    let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
    let (mut path, sibling) = if old <= left.len() {
        (naive_consistency(old, left, whole), naive_root(right))
    } else {
        (naive_consistency(old - left.len(), right, false), naive_root(left))
    };
    path.push(sibling);
    path
}

#[test]
fn every_proof_of_small_trees() {
    for size in 1..=70_u64 {
        let log = Log::of(size);
        let root = log.edge.root();
        for seq in 0..size {
            let at = usize::try_from(seq).expect("small");
            let path = prove_inclusion(size, seq, |t| log.served(t)).expect("served");
            assert_eq!(path, naive_path(at, &log.leaves), "{seq} of {size}");
            assert_eq!(verify_inclusion(size, seq, &log.leaves[at], &path, &root), Ok(()));
        }
        for old in 1..=size {
            let before = &log.leaves[..usize::try_from(old).expect("small")];
            let path = prove_consistency(old, size, |t| log.served(t)).expect("served");
            assert_eq!(path, naive_consistency(before.len(), &log.leaves, true), "{old} of {size}");
            assert_eq!(verify_consistency(old, size, &naive_root(before), &root, &path), Ok(()), "{old} of {size}");
        }
    }
}

#[test]
fn no_proof_fits_anything_else() {
    for size in 1..=20_u64 {
        let log = Log::of(size);
        let root = log.edge.root();
        for seq in 0..size {
            let leaf = log.leaves[usize::try_from(seq).expect("small")];
            let path = prove_inclusion(size, seq, |t| log.served(t)).expect("served");
            for other in (0..size + 2).filter(|o| *o != seq) {
                assert!(verify_inclusion(size, other, &leaf, &path, &root).is_err(), "{seq} as {other} of {size}");
            }
            assert_eq!(verify_inclusion(size, seq, &leaf_hash(b"other"), &path, &root), Err(PathError::Root));
            for n in 0..path.len() {
                let mut changed = path.clone();
                changed[n].0[31] ^= 1;
                assert_eq!(verify_inclusion(size, seq, &leaf, &changed, &root), Err(PathError::Root));
                changed.remove(n);
                assert!(verify_inclusion(size, seq, &leaf, &changed, &root).is_err());
            }
            let longer = [path.as_slice(), &[leaf]].concat();
            assert_eq!(verify_inclusion(size, seq, &leaf, &longer, &root), Err(PathError::Length));
        }
        for old in 1..size {
            let old_root = naive_root(&log.leaves[..usize::try_from(old).expect("small")]);
            let path = prove_consistency(old, size, |t| log.served(t)).expect("served");
            let check = |old, old_root: &Hash, path: &[Hash]| verify_consistency(old, size, old_root, &root, path);
            for other in (1..=size).filter(|o| *o != old) {
                assert!(check(other, &old_root, &path).is_err(), "{old} as {other} of {size}");
            }
            assert_eq!(check(old, &leaf_hash(b"other"), &path), Err(PathError::Root));
            for n in 0..path.len() {
                let mut changed = path.clone();
                changed[n].0[0] ^= 1;
                assert_eq!(check(old, &old_root, &changed), Err(PathError::Root), "{old} of {size}, hash {n}");
                changed.remove(n);
                assert!(check(old, &old_root, &changed).is_err());
            }
            assert_eq!(check(old, &old_root, &[path.as_slice(), &[root]].concat()), Err(PathError::Length));
        }
    }
}

#[test]
fn the_edges() {
    let log = Log::of(5);
    let root = log.edge.root();
    let none = |_| Err("nothing should be read");
    assert_eq!(prove_consistency(0, 5, none).expect("trivial"), []);
    assert_eq!(prove_consistency(5, 5, none).expect("trivial"), []);
    assert_eq!(verify_consistency(0, 5, &EMPTY_ROOT, &root, &[]), Ok(()));
    assert_eq!(verify_consistency(5, 5, &root, &root, &[]), Ok(()));
    assert_eq!(verify_consistency(0, 0, &EMPTY_ROOT, &EMPTY_ROOT, &[]), Ok(()));
    assert_eq!(verify_consistency(0, 0, &root, &root, &[]), Err(PathError::Root));
    assert_eq!(verify_consistency(0, 5, &root, &root, &[]), Err(PathError::Root));
    assert_eq!(verify_consistency(5, 5, &EMPTY_ROOT, &root, &[]), Err(PathError::Root));
    assert_eq!(verify_consistency(5, 5, &root, &root, &[root]), Err(PathError::Length));
    assert_eq!(verify_consistency(6, 5, &root, &root, &[]), Err(PathError::Range));
    assert_eq!(verify_consistency(3, 5, &root, &root, &[]), Err(PathError::Length));
    assert!(matches!(prove_inclusion(5, 5, none), Err(ProveError::NoSuchLeaf { seq: 5, size: 5 })));
    assert!(matches!(prove_consistency(6, 5, none), Err(ProveError::Backwards { .. })));
    assert!(matches!(prove_inclusion(5, 1, none), Err(ProveError::Read { .. })));
    let short = prove_inclusion(5, 1, |t| log.served(t).map(|b| b[1..].to_vec()));
    assert!(matches!(short, Err(ProveError::Length { found: 159, .. })));
    assert_eq!(verify_inclusion(u64::MAX, u64::MAX - 1, &root, &[root; 200], &root), Err(PathError::Length));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn large_trees_prove_by_tiles(size in 1..9_000_u64, seq in any::<prop::sample::Index>(), old in any::<prop::sample::Index>()) {
        let log = Log::of(size);
        let (root, entries) = (log.edge.root(), log.leaves.len());
        prop_assert_eq!(root, naive_root(&log.leaves));
        let at = seq.index(entries);
        let mut reads = 0;
        let path = prove_inclusion(size, at as u64, |t| { reads += 1; log.served(t) }).expect("served");
        prop_assert_eq!(&path, &naive_path(at, &log.leaves));
        prop_assert!(reads <= 4, "{} tiles were read", reads);
        prop_assert_eq!(verify_inclusion(size, at as u64, &log.leaves[at], &path, &root), Ok(()));
        let old = 1 + old.index(entries);
        let path = prove_consistency(old as u64, size, |t| log.served(t)).expect("served");
        prop_assert_eq!(&path, &naive_consistency(old, &log.leaves, true));
        prop_assert_eq!(verify_consistency(old as u64, size, &naive_root(&log.leaves[..old]), &root, &path), Ok(()));
    }

    #[test]
    fn any_proof_is_survived(sizes in any::<(u64, u64)>(), path in prop::collection::vec(any::<[u8; 32]>(), 0..70)) {
        let path: Vec<Hash> = path.into_iter().map(Hash).collect();
        let root = leaf_hash(b"");
        prop_assert!(verify_inclusion(sizes.0, sizes.1, &root, &path, &EMPTY_ROOT).is_err());
        prop_assert!(sizes.1 == 0 || verify_consistency(sizes.0, sizes.1, &root, &EMPTY_ROOT, &path).is_err());
    }
}

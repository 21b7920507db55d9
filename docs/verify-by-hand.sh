#!/usr/bin/env bash
# Verifies one ledger entry with standard tools and nothing of Steward's: bash, jq, OpenSSL 3, coreutils, sed.
#
#   steward ledger prove 7 > entry.json
#   docs/verify-by-hand.sh entry.json VKEY
#
# VKEY is the ledger's verifier key, as `steward ledger vkey` prints it. Have it from elsewhere than from whom you check.
# docs/ledger.md explains each step. Exit code 0 if everything fits, 1 if something does not.
set -euo pipefail

[[ $# == 2 && -r $1 ]] || { echo "usage: $0 ENTRY.json VKEY" >&2 && exit 2; }
entry=$1 vkey=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

say() { printf '%s\n' "$*"; }
fail() { say "DOES NOT FIT: $*" && exit 1; }
field() { jq -j ".$1 // empty" "$entry"; }
sha256() { sha256sum | cut -d' ' -f1; }
tohex() { od -An -v -tx1 | tr -d ' \n'; }
bytes() { printf '%b' "$(sed 's/../\\x&/g' <<<"$1")"; }

# 1. The body is the one that the leaf stands for (if it was not erased).
field leaf >"$work/leaf"
if [[ -n $(field salt) ]]; then
    mac=$(field body | openssl dgst -sha256 -mac HMAC -macopt "hexkey:$(field salt)" -r | cut -d' ' -f1)
    [[ $mac == "$(jq -r .body "$work/leaf")" ]] || fail "the body is not the one that the leaf stands for"
    say "the body is the one that the leaf stands for"
else
    say "body and salt were erased; the leaf still stands in the tree"
fi

# 2. The leaf's hash: SHA-256 of a zero byte and the leaf.
hash=$({ printf '\0' && cat "$work/leaf"; } | sha256)

# 3. Take the proof apart: lines up to the first blank one, then the signed tree head.
field proof >"$work/proof"
sed '/^$/,$d' "$work/proof" >"$work/path"
sed '1,/^$/d' "$work/proof" >"$work/note"
sed '/^$/,$d' "$work/note" >"$work/text"
[[ $(sed -n 1p "$work/path") == c2sp.org/tlog-proof@v1 ]] || fail "this is not a tlog-proof"
index=$(sed -n 's/^index //p' "$work/path")
origin=$(sed -n 1p "$work/text") size=$(sed -n 2p "$work/text")
root=$(sed -n 3p "$work/text" | base64 -d | tohex)
((index < size)) || fail "entry $index is not in a tree of $size entries"

# 4. Up the tree, as RFC 9162, 2.1.3.2 says: SHA-256 of a one byte, the left and the right hash.
fn=$index sn=$((size - 1))
while read -r line; do
    p=$(base64 -d <<<"$line" | tohex)
    ((sn > 0)) || fail "the path is too long"
    if ((fn & 1 || fn == sn)); then
        hash=$(bytes "01$p$hash" | sha256)
        while ! ((fn & 1)) && ((fn > 0)); do fn=$((fn >> 1)) sn=$((sn >> 1)); done
    else
        hash=$(bytes "01$hash$p" | sha256)
    fi
    fn=$((fn >> 1)) sn=$((sn >> 1))
done < <(sed '1d;/^extra /d;/^index /d' "$work/path")
((sn == 0)) || fail "the path is too short"
[[ $hash == "$root" ]] || fail "the path does not lead from the leaf to the root"
say "entry $index stands under the root of $size entries"

# 5. The head is signed by the key of the ledger.
name=${vkey%%+*} rest=${vkey#*+}
keyid=${rest%%+*} key=$(base64 -d <<<"${rest#*+}" | tohex)
[[ $name == "$origin" ]] || fail "the head is of the ledger $origin, and the key of $name"
[[ ${#key} == 66 && $key == 01* ]] || fail "this is not an Ed25519 verifier key"
signature=$(sed -n "1,/^\$/d;s/^— ${name//[.\/]/\\&} //p" "$work/note" | head -n1 | base64 -d | tohex)
[[ ${signature:0:8} == "$keyid" ]] || fail "the head is signed by another key"
bytes "302a300506032b6570032100${key:2}" >"$work/key.der"
bytes "${signature:8}" >"$work/signature"
openssl pkeyutl -verify -pubin -keyform DER -inkey "$work/key.der" -rawin -in "$work/text" -sigfile "$work/signature" \
    >"$work/verified" || fail "the signature of the head is wrong"
say "the head is signed by $vkey"

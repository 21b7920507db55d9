//! Agents of this node.

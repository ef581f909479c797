//! The component contract.

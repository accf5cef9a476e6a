//! Laws of repair.

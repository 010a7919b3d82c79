//! The self-contained page of a run, and what other pages share with it: shell, styles, pictures, places.

mod embedded;
pub(in crate::report) mod encode;
pub(super) mod health;
mod html;
mod inside;
pub(in crate::report) mod provenance;
mod rate;
pub(in crate::report) mod shell;
pub(in crate::report) mod slots;
pub(in crate::report) mod thumbs;
mod transfer_table;
mod unit_cards;
mod unit_pictures;
pub(in crate::report) mod view;

pub(in crate::report) use html::page;
#[cfg(test)]
pub(in crate::report) use unit_pictures::UnitPictures;
pub(in crate::report) use unit_pictures::unit_pictures;

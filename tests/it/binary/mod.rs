//! The binary as a user meets it: commands, configuration, files, and kills.

mod commands;
mod files;
mod kills;
mod storm;

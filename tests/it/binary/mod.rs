//! The binary as a user meets it: commands, configuration, files, and kills.

mod commands;
mod exports;
mod files;
mod imports;
mod kills;
mod script;
mod storm;

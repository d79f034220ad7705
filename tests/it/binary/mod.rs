//! The binary as a user meets it: commands, configuration, files, and kills.

mod backups;
mod bench;
mod canaries;
mod chaos;
mod commands;
mod counts;
mod decisions;
mod exports;
mod failover;
mod files;
mod history;
mod imports;
mod keys;
mod kills;
mod restarts;
mod samples;
mod saves;
mod script;
mod slow;
mod standby;
mod storm;
mod takeovers;
mod traces;

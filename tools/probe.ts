// Imports what deno.json takes from JSR, so that caching this file tells whether it can be had.
import "@std/assert";
import "@std/cli/parse-args";
import "@std/csv";

// Which slots of a tensor that route_experts sorted by expert a workgroup works on, and with which rows of a weight
// that holds the matrices of all experts, one below the other, or a part of them.
@group(0) @binding(1) var<storage, read> spans: array<u32>;
@group(0) @binding(2) var<storage, read> choices: array<u32>;

// The last slot of an expert's span that counts: only tokens with an adapter, or all.
const adapted_tokens = 1u;
const all_tokens = 2u;

struct SlotTile {
  expert: u32,
  first: u32,
  end: u32,
}

// Tile `number` of those with which each expert covers its slots, `size` at a time; behind the last one, no slots.
fn slot_tile(number: u32, size: u32, experts: u32, which: u32) -> SlotTile {
  var left = number;
  for (var expert = 0u; expert < experts; expert++) {
    let first = spans[3u * expert];
    let end = spans[3u * expert + which];
    let tiles = (end - first + size - 1u) / size;
    if (left < tiles) {
      return SlotTile(expert, first + left * size, min(first + (left + 1u) * size, end));
    }
    left -= tiles;
  }
  return SlotTile(0u, 0u, 0u);
}

// Row of what lies by token, of which each has as many slots, or by slot where that is 0.
fn row_of(slot: u32, slots_per_token: u32) -> u32 {
  if (slots_per_token == 0u) {
    return slot;
  }
  return choices[slot] / slots_per_token;
}

// First and end of an expert's columns of which a weight has the rows, if it has rows `first` to `first + count` of
// the experts' matrices.
fn columns_in(expert: u32, columns: u32, first: u32, count: u32) -> vec2u {
  let start = expert * columns;
  return clamp(vec2u(first, first + count), vec2u(start), vec2u(start + columns)) - start;
}

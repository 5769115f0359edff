"""Records scores as the research code's evaluation stores them; README.md says what is in each."""

from pathlib import Path

import torch

ROOT = Path(__file__).parent / "logits"


def main():
    for folder in ("whole/test", "parts/validation", "unsound/test", "label/test"):
        (ROOT / folder).mkdir(parents=True, exist_ok=True)
    logits = torch.tensor([[0.5, -1.25], [-2.0, 3.0], [0.0, 0.0]])
    whole = {"q_logits": logits.bfloat16(), "q_labels": torch.tensor([0, 1, -1])}
    torch.save(whole, ROOT / "whole/test/query_data.bin")
    for rank, (row, label) in enumerate([([0.25, 0.75], 1), ([4.0, -4.0], 0)]):
        part = {"q_logits": torch.tensor([row]), "q_labels": torch.tensor([label])}
        torch.save({"fuzzy_gpt-3.5-turbo-1106": part}, ROOT / f"parts/validation/q_{rank}.pt")
    torch.save({"q_logits": logits[:, :1], "q_labels": torch.tensor([0, 1, 1])}, ROOT / "unsound/test/data.bin")
    torch.save({"q_logits": logits, "q_labels": torch.tensor([0, 1, 2])}, ROOT / "label/test/data.bin")


main()

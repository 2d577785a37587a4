"""Three LightningModules with one story: `MLP`, `CNN` and `TransferModel` differ only in their network."""

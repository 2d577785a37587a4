"""The networks, and the LightningModule around them: `MLP`, `Tabular`, `CNN`, `ResNet` and `TransferModel`."""

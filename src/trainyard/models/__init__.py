"""The networks, and the LightningModule around them: `MLP`, `CNN`, `ResNet` and `TransferModel`."""

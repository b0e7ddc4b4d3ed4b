"""What comes in by mail: bounces, complaints and wishes to leave; read here, acted on by `pipeline.returning`."""

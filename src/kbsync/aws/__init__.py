"""The AWS backend: DynamoDB, S3, Bedrock knowledge bases and SNS behind the five ports."""

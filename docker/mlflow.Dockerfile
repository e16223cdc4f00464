# MLflow with the drivers for Postgres and S3, which its official image does not include. No telemetry.
FROM python:3.11-slim
ENV PIP_NO_CACHE_DIR=1 MLFLOW_DISABLE_TELEMETRY=true
RUN pip install "mlflow[auth]==3.17.2" "psycopg2-binary==2.9.13" "boto3==1.43.117" \
    && useradd --create-home runner
USER runner
WORKDIR /home/runner
CMD ["mlflow", "server", "--host", "0.0.0.0", "--port", "5000", "--artifacts-destination", "s3://mlflow", "--app-name", "basic-auth"]
